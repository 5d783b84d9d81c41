"""What a server says in the body of an error: its code and message, where it says them in S3's words."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

BODY_LIMIT_BYTES = 64 * 1024
"""Longer ones are no error of S3."""


def code_and_message(document: bytes) -> tuple[str, str] | None:
    """Of an `<Error>`; None where the document is another one. Raises ValueError for what is no XML, or more than plain XML."""
    try:
        root: Element = fromstring(document, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError) as error:  # LookupError: of an encoding that nobody knows.
        raise ValueError(f"no XML: {error}") from error
    if _name(root) != "Error":
        return None
    found = {_name(child): child.text or "" for child in root}
    return found.get("Code", ""), found.get("Message", "")


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
