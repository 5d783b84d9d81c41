"""The documents that clients send, read strictly: another root, an unknown element, a DTD, an entity or a trailing byte is MalformedXML.

Elements stand in the namespace of S3 or in none. Callers bound the bytes; the tree is bounded here, since a small document of many empty
elements makes a large one, and so is each tag: one of a million attributes would be a second in which no other thread has a turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.model import Conditions
from s3o_proxy.domain.multipart import FinishedPart
from s3o_proxy.s3.checksums import ALGORITHMS
from s3o_proxy.s3.conditions import unquote_etag
from s3o_proxy.s3.errors import S3Error, header_not_implemented, invalid_argument
from s3o_proxy.s3.identifiers import XML_NAMESPACE
from s3o_proxy.s3.names import check_key
from s3o_proxy.s3.operation import KeyToDelete

MAX_KEYS_TO_DELETE = 1000
MAX_PARTS = 10_000
_MAX_DEPTH = 4
_SLICE_BYTES = 64 * 1024
"""What is parsed at once. A tag or a comment that is longer than one or two of them is refused."""

_NAMESPACE = "{" + XML_NAMESPACE + "}"
_CHECKSUMS = {f"Checksum{algorithm}": algorithm for algorithm in ALGORITHMS}


@frozen
class DeleteRequest:
    """`quiet`: the answer names failures only."""

    keys: tuple[KeyToDelete, ...]
    quiet: bool = False


def parse_complete_multipart_upload(body: bytes) -> tuple[FinishedPart, ...]:
    """The finished parts, in the ascending order that S3 asks for. Raises MalformedXML, InvalidPartOrder, InvalidArgument."""
    root = _read(body, "CompleteMultipartUpload", max_elements=1 + MAX_PARTS * 8)
    parts = tuple(_finished_part(element) for element in _children(root, ("Part",)))
    if not 1 <= len(parts) <= MAX_PARTS:
        raise S3Error("MalformedXML")
    if any(later.part_number <= part.part_number for part, later in pairwise(parts)):
        raise S3Error("InvalidPartOrder")
    return parts


def _finished_part(element: Element) -> FinishedPart:
    fields = _fields(element, ("PartNumber", "ETag", *_CHECKSUMS))
    number, etag = fields.get("PartNumber", ""), fields.get("ETag", "")
    if not (number.isascii() and number.isdigit()) or not etag:
        raise S3Error("MalformedXML")
    if len(number) > 9 or not 1 <= int(number) <= MAX_PARTS:
        raise invalid_argument("partNumber", number, "PartNumber must be >= 1 and <= 10000")
    checksums = {_CHECKSUMS[name]: value for name, value in fields.items() if name in _CHECKSUMS and value}
    return FinishedPart(int(number), unquote_etag(etag), checksums)


def parse_delete(body: bytes) -> DeleteRequest:
    """What DeleteObjects names. Raises MalformedXML, KeyTooLongError; NotImplemented for conditions on time or size."""
    root = _read(body, "Delete", max_elements=2 + MAX_KEYS_TO_DELETE * 6)
    keys: list[KeyToDelete] = []
    quiet = False
    for element in _children(root, ("Object", "Quiet")):
        if _local(element) == "Quiet":
            quiet = _boolean(_text(element))
        else:
            keys.append(_key_to_delete(element))
    if not 1 <= len(keys) <= MAX_KEYS_TO_DELETE:
        raise S3Error("MalformedXML")
    return DeleteRequest(tuple(keys), quiet)


def _key_to_delete(element: Element) -> KeyToDelete:
    # A key is taken with all its white space; only the other fields may be indented.
    fields = _fields(element, ("Key", "VersionId", "ETag", "LastModifiedTime", "Size"), verbatim=("Key",))
    key = fields.get("Key", "")
    if not key:
        raise S3Error("MalformedXML")
    check_key(key)
    for name in ("LastModifiedTime", "Size"):
        if name in fields:
            raise header_not_implemented(name)
    etag = unquote_etag(fields["ETag"]) if "ETag" in fields else None
    if etag == "":
        raise S3Error("MalformedXML")  # Not an unconditional delete: somebody meant to protect what is there.
    return KeyToDelete(key, fields.get("VersionId", ""), Conditions(if_match=etag))


def parse_create_bucket(body: bytes) -> str:
    """The location constraint, or "" (also for no document at all). Raises MalformedXML."""
    if not body:
        return ""
    root = _read(body, "CreateBucketConfiguration", max_elements=200)
    members = {_local(element): element for element in _children(root, ("LocationConstraint", "Location", "Bucket", "Tags"))}
    return _text(members["LocationConstraint"]).strip() if "LocationConstraint" in members else ""


# --- reading -------------------------------------------------------------------------------------------------------


class _BoundedTree(TreeBuilder):
    """Refuses while reading, so that a hostile document costs no more memory than a good one."""

    def __init__(self, max_elements: int) -> None:
        super().__init__()
        self._left, self._depth = max_elements, 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._left -= 1
        self._depth += 1
        if self._left < 0 or self._depth > _MAX_DEPTH:
            raise S3Error("MalformedXML")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def _read(body: bytes, root_name: str, *, max_elements: int) -> Element:
    parser = DefusedXMLParser(target=_BoundedTree(max_elements), forbid_dtd=True)
    try:
        for start in range(0, len(body), _SLICE_BYTES):
            parser.feed(body[start : start + _SLICE_BYTES])
            if parser.parser.CurrentByteIndex < start:  # Where the tag begins whose end is not here yet.
                raise S3Error("MalformedXML")
        root = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError):  # ValueError: its encoding is not the one it names
        raise S3Error("MalformedXML") from None
    if _local(root) != root_name:
        raise S3Error("MalformedXML")
    return root


def _children(element: Element, known: Sequence[str]) -> Iterator[Element]:
    """The child elements, each a known one, with nothing but white space between them."""
    if (element.text or "").strip():
        raise S3Error("MalformedXML")
    for child in element:
        if _local(child) not in known or (child.tail or "").strip():
            raise S3Error("MalformedXML")
        yield child


def _fields(element: Element, known: Sequence[str], *, verbatim: Sequence[str] = ()) -> dict[str, str]:
    """The texts of the children by name, each at most once."""
    found: dict[str, str] = {}
    for child in _children(element, known):
        name, text = _local(child), _text(child)
        if name in found:
            raise S3Error("MalformedXML")
        found[name] = text if name in verbatim else text.strip()
    return found


def _local(element: Element) -> str:
    """The name without S3's namespace; one of another namespace keeps it, and so matches nothing."""
    return element.tag.removeprefix(_NAMESPACE)


def _text(element: Element) -> str:
    if len(element):
        raise S3Error("MalformedXML")
    return element.text or ""


def _boolean(text: str) -> bool:
    match text.strip().lower():
        case "true":
            return True
        case "false" | "":
            return False
    raise S3Error("MalformedXML")
