"""One client of a soak: it does everything that S3 offers to keys of its own, one at a time, and holds every answer against its model.

A call that was not answered leaves two possible truths. The key is then left alone for a few seconds, in which whatever was on its way
has arrived, and is read: what is found is the truth from then on.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from hashlib import md5
from types import MappingProxyType
from urllib.parse import quote
from xml.sax.saxutils import escape

from hack.bench.payload import payload
from hack.soak.client import S3, Answer, NotSentError, UnansweredError
from hack.soak.model import GONE, Key, digest
from hack.soak.tally import Finding, Outcome, Tally

PART_BYTES = 5 * 1024**2
"""The least that S3 allows for a part that is not the last."""
SMALL_BYTES = 64 * 1024
LARGE_BYTES = (1024**2, 8 * 1024**2)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_LARGE_SHARE = 0.004
_TWO_PARTS_SHARE = 0.1
_QUARANTINE_S = 5.0
_NOBODY_S = 120.0
"""For so long nobody may listen: both proxies start at once, on a busy machine."""
_AGAIN_S = 0.1
_MOST_DELETED_AT_ONCE = 5
_POOL = payload(LARGE_BYTES[1] + 64 * 1024)


class Writer:
    """`proxies`: over which it asks, each time another."""

    def __init__(self, number: int, seed: int, proxies: list[S3], tally: Tally, keys: int) -> None:
        self.folder = f"writer-{number}/"
        self.keys = {f"{self.folder}{index} ä+%~": Key() for index in range(keys)}
        self._chance = random.Random(f"{seed}/{number}")
        self._proxies, self._tally, self._number = proxies, tally, number
        self._etags: dict[str, str] = {}
        self._rested_s: dict[str, float] = {}
        """When a key whose truth is open may be asked for."""
        self._uploads: dict[str, tuple[str, float]] = {}
        """Uploads of which the end is not known: their key, and when to abort them."""
        self._made = 0
        self._actions: dict[str, tuple[Callable[[str], Awaitable[Outcome]], int]] = {
            "put": (self._put, 38),
            "get": (self._get, 24),
            "delete": (self._delete, 10),
            "copy": (self._copy, 8),
            "put if none": (self._create, 5),
            "put if match": (self._replace, 5),
            "head": (self._head, 4),
            "list": (self._list, 2),
            "delete many": (self._delete_many, 2),
            "multipart": (self._multipart, 2),
        }

    async def run(self) -> None:
        """Until the tally says that it is enough."""
        kinds, weights = list(self._actions), [weight for _, weight in self._actions.values()]
        while self._tally.goes_on:
            await self._abort_one()
            await self._settle_one()
            self._tally.taken += 1
            (kind,) = self._chance.choices(kinds, weights)
            name = self._chance.choice(list(self.keys))
            if name in self._rested_s:
                kind = "get"  # Its truth is open: a read may find any of them.
            self._tally.count(kind, await self._actions[kind][0](name))

    async def check(self) -> int:
        """Read every key back, whatever it takes; returns how many are there."""
        for name in self.keys:
            deadline_s = time.monotonic() + _NOBODY_S
            while (found := await self._look(name)) is None:
                if time.monotonic() > deadline_s:
                    self._tally.find(Finding.LOST, f"{name} cannot be read: nothing but failures for {_NOBODY_S:g} s")
                    break
                await asyncio.sleep(_AGAIN_S)
            else:
                self._known(name, found)
        return sum(key.acknowledged != GONE for key in self.keys.values())

    # --- reads ------------------------------------------------------------------------------------------------------

    async def _get(self, name: str) -> Outcome:
        answer = await self._ask("GET", name)
        return _no_answer(answer) if self._found(name, answer) is None else Outcome.DONE

    async def _look(self, name: str) -> str | None:
        return self._found(name, await self._ask("GET", name))

    def _found(self, name: str, answer: Answer | None) -> str | None:
        """What is there, held against what may be; None when nobody could tell."""
        if answer is None or answer.status >= 500:
            return None
        key = self.keys[name]
        if answer.status == 200:
            self._tally.bytes_read += len(answer.body)
            found = digest(answer.body)
            if key.is_certain:
                self._etags[name] = answer.etag
        elif answer.status == 404 and answer.code == "NoSuchKey":
            found = GONE
        else:
            self._explain("get", name, answer)
            return None
        if found not in key.possible:
            possible = ", ".join(each[:12] or "nothing" for each in sorted(key.possible))
            what = f"{found[:12]} of {len(answer.body)} bytes" if found else "nothing"
            finding = Finding.LOST if found == GONE else Finding.WRONG
            self._tally.find(finding, f"{name}: found {what}, possible were {possible}")
            self._known(name, found)  # So it is told once.
        return found

    async def _head(self, name: str) -> Outcome:
        answer = await self._ask("HEAD", name)
        if answer is None or answer.status >= 500:
            return _no_answer(answer)
        key, etag = self.keys[name], self._etags.get(name)
        if key.is_certain and (
            answer.status != 404 if key.acknowledged == GONE else answer.status != 200 or etag not in (None, answer.etag)
        ):
            finding = Finding.LOST if answer.status == 404 else Finding.WRONG
            self._tally.find(finding, f"HEAD {name}: {answer.status} {answer.etag}, acknowledged was {key.acknowledged[:12]} {etag}")
        return Outcome.DONE

    async def _list(self, _name: str) -> Outcome:
        """All keys of this client are on one page, in order."""
        answer = await self._ask("GET", "", query={"list-type": "2", "prefix": self.folder, "encoding-type": "url"})
        if answer is None or answer.status >= 500:
            return _no_answer(answer)
        if answer.status != 200:
            self._explain("list", self.folder, answer)
            return Outcome.DONE
        listed = [element.text for element in answer.xml().iterfind("Contents/Key")]
        for name, key in self.keys.items():
            if key.is_certain and (quote(name, safe="/-_.~") in listed) != key.is_there:
                finding = Finding.LOST if key.is_there else Finding.WRONG
                self._tally.find(finding, f"LIST {self.folder}: {name} is {'not ' if key.is_there else ''}listed")
        return Outcome.DONE

    # --- writes -----------------------------------------------------------------------------------------------------

    async def _put(self, name: str) -> Outcome:
        return await self._store(name, self._body())

    async def _create(self, name: str) -> Outcome:
        """If nothing is there."""
        return await self._store(name, self._body(), {"if-none-match": "*"}, holds=not self.keys[name].is_there)

    async def _replace(self, name: str) -> Outcome:
        """If that is there which was last seen; or, every fourth time, something that never was."""
        etag = self._etags.get(name)
        if etag is None or self._chance.random() < 0.25:
            return await self._store(name, self._body(), {"if-match": f'"{"0" * 32}"'}, holds=False)
        return await self._store(name, self._body(), {"if-match": etag}, holds=True)

    async def _store(self, name: str, body: bytes, headers: Mapping[str, str] = _NOTHING, *, holds: bool = True) -> Outcome:
        """`holds`: whether the condition does."""
        answer = await self._change(name, digest(body), "PUT", body=body, headers=headers)
        declines = answer is not None and (answer.status == 412 or (answer.status == 404 and answer.code == "NoSuchKey"))
        if answer is not None and headers and answer.status < 500 and declines == holds:
            self._tally.find(
                Finding.UNEXPECTED, f"PUT {name} {dict(headers)} where the condition {'holds' if holds else 'fails'}: {answer}"
            )
        if answer is not None and answer.status == 200:
            self._tally.bytes_written += len(body)
            self._etags[name] = answer.etag
            return Outcome.DONE
        if declines and headers:
            return Outcome.DECLINED
        return self._not_done("put", name, answer)

    async def _copy(self, name: str) -> Outcome:
        sources = [other for other, key in self.keys.items() if other != name and key.is_there]
        if not sources:
            return await self._get(name)
        source = self._chance.choice(sources)
        headers = {"x-amz-copy-source": quote(f"{self._proxies[0].access.bucket}/{source}", safe="/-_.~")}
        answer = await self._change(name, self.keys[source].acknowledged, "PUT", headers=headers)
        if answer is not None and answer.status == 200:
            self._etags[name] = answer.xml().findtext("ETag") or ""
            return Outcome.DONE
        if answer is not None and answer.status == 404:
            self._tally.find(Finding.LOST, f"{source}, by a copy of it: {answer}")
            return Outcome.DECLINED
        return self._not_done("copy", name, answer)

    async def _delete(self, name: str) -> Outcome:
        answer = await self._change(name, GONE, "DELETE")
        if answer is not None and answer.status == 204:
            return Outcome.DONE
        return self._not_done("delete", name, answer)

    async def _delete_many(self, name: str) -> Outcome:
        certain = [each for each, key in self.keys.items() if key.is_certain and each != name]
        names = [name, *self._chance.sample(certain, min(len(certain), self._chance.randrange(_MOST_DELETED_AT_ONCE)))]
        for each in names:
            self.keys[each].asked(GONE)
        body = f"<Delete>{''.join(f'<Object><Key>{escape(each)}</Key></Object>' for each in names)}</Delete>".encode()
        md5_of_body = b64encode(md5(body, usedforsecurity=False).digest()).decode()
        answer = await self._ask("POST", "", query={"delete": ""}, body=body, headers={"content-md5": md5_of_body})
        deleted = set()
        if answer is not None and answer.status == 200:
            deleted = {element.text for element in answer.xml().iterfind("Deleted/Key")}
        for each in names:
            if each in deleted:
                self._known(each, GONE)
            else:
                self._open(each)
        if answer is not None and answer.status == 200:
            return Outcome.DONE if len(deleted) == len(names) else Outcome.FAILED
        return self._not_done("delete many", name, answer)

    async def _multipart(self, name: str) -> Outcome:
        begun = await self._ask("POST", name, query={"uploads": ""})
        if begun is None or begun.status != 200:
            return self._not_done("create upload", name, begun)
        upload_id = begun.xml().findtext("UploadId") or ""
        self._uploads[upload_id] = (name, 0.0)  # To be aborted at once, should anything come in between.
        body, etags = self._body(), []
        pieces = [body]
        if self._chance.random() < _TWO_PARTS_SHARE:
            pieces = [self._bytes(PART_BYTES), body]
        for number, piece in enumerate(pieces, start=1):
            sent = await self._ask("PUT", name, query={"uploadId": upload_id, "partNumber": str(number)}, body=piece)
            if sent is None or sent.status != 200:
                return self._not_done("upload part", name, sent)
            etags.append(sent.etag)
        parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, start=1))
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        whole = b"".join(pieces)
        ended = await self._change(name, digest(whole), "POST", query={"uploadId": upload_id}, body=document)
        # A Complete may be answered 200 before it is done, and say in its document that it failed.
        if ended is not None and ended.status == 200 and not ended.code:
            del self._uploads[upload_id]
            self._tally.bytes_written += len(whole)
            self._etags[name] = ended.xml().findtext("ETag") or ""
            return Outcome.DONE
        self._uploads[upload_id] = (name, time.monotonic() + _QUARANTINE_S)
        return self._not_done("complete", name, ended)

    # --- what is still open -----------------------------------------------------------------------------------------

    async def _settle_one(self) -> None:
        """Read one key whose truth is open, and whose rest is over."""
        now_s = time.monotonic()
        name = next((name for name, rested_s in self._rested_s.items() if rested_s <= now_s), None)
        if name is not None and (found := await self._look(name)) is not None:
            self._known(name, found)

    async def _abort_one(self) -> None:
        now_s = time.monotonic()
        upload_id = next((upload_id for upload_id, (_, due_s) in self._uploads.items() if due_s <= now_s), None)
        if upload_id is None:
            return
        name, _ = self._uploads[upload_id]
        answer = await self._ask("DELETE", name, query={"uploadId": upload_id})
        if answer is not None and answer.status in (204, 404):
            del self._uploads[upload_id]
        else:
            self._uploads[upload_id] = (name, now_s + _QUARANTINE_S)

    # --- asking -----------------------------------------------------------------------------------------------------

    async def _change(
        self,
        name: str,
        outcome: str,
        method: str,
        *,
        query: Mapping[str, str] = _NOTHING,
        body: bytes = b"",
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer | None:
        """Ask for something that makes `name` to be `outcome`, and note in the model what the answer means."""
        self.keys[name].asked(outcome)
        answer = await self._ask(method, name, query=query, body=body, headers=headers)
        if answer is None or (answer.status >= 500 and answer.status != 507) or (answer.status == 200 and answer.code):
            self._open(name)
        elif answer.status in (200, 204):
            self._known(name, outcome)
        else:
            self.keys[name].refused(outcome)
        return answer

    async def _ask(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] = _NOTHING,
        body: bytes = b"",
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer | None:
        """Over any of the proxies, or the other when nobody listens there. None: it was sent, and no whole answer came."""
        deadline_s = time.monotonic() + _NOBODY_S
        while True:
            for proxy in self._chance.sample(self._proxies, len(self._proxies)):
                try:
                    return await proxy.request(method, key, query=query, body=body, headers=headers)
                except NotSentError:
                    continue
                except UnansweredError:
                    return None
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"nobody listens on any proxy for {_NOBODY_S:g} s")
            await asyncio.sleep(_AGAIN_S)

    def _known(self, name: str, outcome: str) -> None:
        if self.keys[name].acknowledged != outcome or not self.keys[name].is_certain:
            self._etags.pop(name, None)
        self.keys[name].seen(outcome)
        self._rested_s.pop(name, None)

    def _open(self, name: str) -> None:
        self._etags.pop(name, None)
        self._rested_s[name] = time.monotonic() + _QUARANTINE_S

    def _not_done(self, kind: str, name: str, answer: Answer | None) -> Outcome:
        if answer is not None and answer.status == 507:
            return Outcome.REFUSED
        if answer is not None and answer.status < 500 and not (answer.status == 200 and answer.code):
            self._explain(kind, name, answer)
        return _no_answer(answer)

    def _explain(self, kind: str, name: str, answer: Answer) -> None:
        self._tally.find(Finding.UNEXPECTED, f"{kind} {name}: {answer}")

    # --- bytes ------------------------------------------------------------------------------------------------------

    def _body(self) -> bytes:
        if self._chance.random() < _LARGE_SHARE:
            return self._bytes(self._chance.randrange(*LARGE_BYTES))
        # As many of 100 bytes as of 10,000; now and then none at all.
        return self._bytes(int(math.exp(self._chance.random() * math.log(SMALL_BYTES))) - 1)

    def _bytes(self, size: int) -> bytes:
        """No two are alike, unless they are very short: each begins with who made it, as which."""
        self._made += 1
        begin = self._chance.randrange(len(_POOL) - size)
        return (f"{self._number} {self._made} ".encode() + _POOL[begin : begin + size])[:size]


def _no_answer(answer: Answer | None) -> Outcome:
    return Outcome.UNANSWERED if answer is None else Outcome.FAILED
