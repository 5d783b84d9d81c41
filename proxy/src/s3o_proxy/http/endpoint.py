"""The story of a request, from its head to the last byte of its answer."""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import time
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp

from s3o_crds.compiled import ServerConfig
from s3o_proxy.auth.authenticate import Authenticator
from s3o_proxy.auth.authorize import authorize
from s3o_proxy.config.snapshot import Credential, Snapshot
from s3o_proxy.domain.errors import BodyError, ClientDisconnected, Overloaded
from s3o_proxy.http.body import RequestBody
from s3o_proxy.http.exchange import Exchange
from s3o_proxy.http.head import Head
from s3o_proxy.http.respond import Answer, Asked, answer_error, answer_result, head_bytes
from s3o_proxy.http.site import is_for_site, serve_site
from s3o_proxy.s3.body import Body
from s3o_proxy.s3.body_promises import MAX_SINGLE_PUT_BYTES, body_promises
from s3o_proxy.s3.errors import S3Error, to_s3_error
from s3o_proxy.s3.operation import Operation, Result
from s3o_proxy.s3.request import RequestFacts
from s3o_proxy.s3.router import route
from s3o_proxy.telemetry.access_log import Access, AccessLog
from s3o_proxy.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""The status that stands in the log and the metrics for a request whose client did not wait for its answer."""


class Application(Protocol):
    """What the endpoint is in front of."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration of this moment."""
        ...

    async def perform(self, credential: Credential, operation: Operation, body: Body) -> Result:
        """Raises DomainError and S3Error."""
        ...

    def clock(self) -> int:
        """What the clock of this machine shows, in milliseconds since the epoch."""
        ...


@dataclass(slots=True)
class _Outcome:
    """What is recorded of a request when it is over, as far as it came."""

    status: int = CLIENT_GONE
    code: str = ""
    operation: str = ""
    credential: str = ""


class Endpoint:
    """Serves S3 by `application`, and a few other paths by `site`. `instance` names this process in error documents.

    `serves_s3` False: `site` alone is served, and whoever asks for S3 came to the wrong process.
    """

    def __init__(
        self, application: Application, site: ASGIApp, metrics: Metrics, access_log: AccessLog, instance: str, *, serves_s3: bool = True
    ) -> None:
        self._application, self._site, self._serves_s3 = application, site, serves_s3
        self._metrics, self._access_log = metrics, access_log
        self._authenticator = Authenticator()
        self._host_id = base64.b64encode(hashlib.sha256(instance.encode()).digest()).decode("ascii")
        self._in_flight = 0

    def limits(self) -> ServerConfig:
        return self._application.snapshot.server

    async def serve(self, exchange: Exchange) -> None:
        if exchange.refusal is None and is_for_site(exchange.head):
            try:
                await serve_site(self._site, exchange)
            except BodyError as error:
                logger.info("a request of the admin API did not arrive: %s", error)
                exchange.give_up()
            return
        asked, outcome = self._asked(exchange.head), _Outcome()
        self._in_flight += 1
        self._metrics.request_started(asked.method)
        try:
            await self._answer(exchange, asked, outcome)
        finally:
            self._in_flight -= 1
            self._record(exchange, asked, outcome)

    # --- the story -----------------------------------------------------------------------------------------------------------------

    async def _answer(self, exchange: Exchange, asked: Asked, outcome: _Outcome) -> None:
        try:
            answer = await self._decide(exchange, asked, outcome)
            await self._send(exchange, answer, asked)
            outcome.status = answer.status
        except ClientDisconnected:
            return  # Nobody is there to be answered; the protocol cuts what is left of the connection.
        except Exception as error:  # noqa: BLE001  # the border: whatever went wrong, the client gets an answer and the log the reason
            refusal = _explain(error, asked, outcome)
            outcome.status, outcome.code = refusal.status, refusal.code
            # With the status out already, the connection is cut: so the client knows that this was not the whole answer.
            if not exchange.head_sent:
                await self._send(exchange, answer_error(refusal, asked), asked)

    async def _decide(self, exchange: Exchange, asked: Asked, outcome: _Outcome) -> Answer:
        """Admit, authenticate, route, authorize, perform. The first byte of the body is asked for by the operation, if at all."""
        if exchange.refusal is not None:
            raise exchange.refusal
        if not self._serves_s3:
            raise S3Error("ServiceUnavailable", "This is a worker: it serves no S3.")
        snapshot = self._application.snapshot
        server = snapshot.server
        # Before the signature is looked at: what cannot be served should cost next to nothing.
        if self._in_flight > server.max_concurrent_requests:
            self._metrics.request_rejected()
            raise Overloaded(server.max_concurrent_requests)
        facts = read_facts(exchange.head)
        proof = self._authenticator.authenticate(
            facts,
            snapshot,
            self._application.clock(),
            allow_sig_v2=server.allow_presigned_sig_v2,
            virtual_host_domain=server.virtual_host_domain,
        )
        outcome.credential = proof.credential.names[0]
        operation = route(facts, server.virtual_host_domain)
        outcome.operation = operation.name
        authorize(proof.credential, operation)
        promises = body_promises(facts, operation, min(MAX_SINGLE_PUT_BYTES, server.max_object_size_bytes))
        body = RequestBody(exchange, promises, proof.chunk_signatures)
        result = await self._application.perform(proof.credential, operation, body)
        return answer_result(result, operation, asked)

    async def _send(self, exchange: Exchange, answer: Answer, asked: Asked) -> None:
        head = head_bytes(answer, asked, self._application.clock())
        if answer.stream is None:
            exchange.answer(head, answer.body)
            return
        async with answer.stream as body:
            await exchange.pass_on(head, answer.size_bytes or 0, body)

    # --- around it -----------------------------------------------------------------------------------------------------------------

    def _asked(self, head: Head) -> Asked:
        request_id = f"{random.getrandbits(64):016X}"
        return Asked(head, self._application.snapshot.region, request_id, self._host_id)

    def _record(self, exchange: Exchange, asked: Asked, outcome: _Outcome) -> None:
        head = exchange.head
        duration_s = time.perf_counter() - exchange.started_s  # uvloop's clock ticks in milliseconds
        received, sent = exchange.received_bytes, exchange.sent_bytes
        self._metrics.request_finished(asked.method, outcome.status, duration_s, received, sent)
        self._access_log.write(
            Access(
                request_id=asked.request_id,
                peer=head.peer,
                credential=outcome.credential,
                method=head.method,
                path=head.path,
                operation=outcome.operation,
                status=outcome.status,
                code=outcome.code,
                duration_s=duration_s,
                received_bytes=received,
                sent_bytes=sent,
            )
        )


_NAMES = {
    name.encode(): name
    for name in (
        *(
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "content-md5",
        ),
        *("x-amz-date", "x-amz-content-sha256", "amz-sdk-invocation-id", "amz-sdk-request", "range", "if-match", "if-none-match", "expect"),
    )
}
"""Those that nearly every request has: decoded once, not each time."""


def read_facts(head: Head) -> RequestFacts:
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name = _NAMES.get(raw_name) or raw_name.decode("latin-1")
        value = raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    path, _, query = head.target.partition(b"?")
    return RequestFacts(head.method, path, query, headers, headers.get("host", ""))


def _explain(error: Exception, asked: Asked, outcome: _Outcome) -> S3Error:
    """What the client is told; the log is told the rest."""
    refusal = to_s3_error(error)
    if refusal.status >= 500 and refusal is not error:
        known = refusal.code != "InternalError"
        logger.log(
            logging.WARNING if known else logging.ERROR,
            "%s answered %s: %s",
            outcome.operation or asked.method,
            refusal.code,
            error,
            extra={"request_id": asked.request_id},
            exc_info=None if known else error,
        )
    return refusal
