"""Documents that clients send: read strictly, and never answered by anything but an error of S3."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import refusal_of

from s3o_proxy.domain.model import Conditions
from s3o_proxy.domain.multipart import FinishedPart
from s3o_proxy.s3.documents import DeleteRequest, parse_complete_multipart_upload, parse_create_bucket, parse_delete
from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.operation import KeyToDelete

S3 = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
PARSERS: tuple[tuple[str, str, Callable[[bytes], object]], ...] = (
    ("CompleteMultipartUpload", "<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>", parse_complete_multipart_upload),
    ("Delete", "<Object><Key>k</Key></Object>", parse_delete),
    ("CreateBucketConfiguration", "<LocationConstraint>eu</LocationConstraint>", parse_create_bucket),
)


def complete(*parts: str, namespace: str = S3) -> bytes:
    return f"<CompleteMultipartUpload{namespace}>{''.join(parts)}</CompleteMultipartUpload>".encode()


def part(number: object, etag: str = '"e"', more: str = "") -> str:
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{more}</Part>"


def delete(*members: str, namespace: str = S3) -> bytes:
    return f"<Delete{namespace}>{''.join(members)}</Delete>".encode()


# --- what every document must be -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("root", "content", "parse"), PARSERS)
def test_with_the_namespace_of_s3_or_with_none(root: str, content: str, parse: Callable[[bytes], object]) -> None:
    plain = parse(f"<{root}>{content}</{root}>".encode())
    for document in (
        f"<{root}{S3}>{content}</{root}>",
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{S3}>{content}</{root}>\n',
        f"<{root}>\n  {content}\n</{root}>",
        f"<!-- hello --><{root}>{content}</{root}>",
    ):
        assert parse(document.encode()) == plain


@pytest.mark.parametrize(("root", "content", "parse"), PARSERS)
@pytest.mark.parametrize(
    "template",
    [
        "",
        "nonsense",
        "<{root}>{content}",
        "<{root}>{content}</{root}>trailing",
        "<{root}>{content}</{root}><{root}/>",
        "<Other>{content}</Other>",
        '<{root} xmlns="http://example.com/">{content}</{root}>',
        "<{root}>{content}<Unknown/></{root}>",
        "<{root}>text{content}</{root}>",
        "<{root}>{content}text</{root}>",
        "<!DOCTYPE x><{root}>{content}</{root}>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><{root}>{content}&a;</{root}>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><{root}>&a;{content}</{root}>',
        "<{root}>{content}&undefined;</{root}>",
        "<{root}>&#0;{content}</{root}>",
        '<?xml version="1.0" encoding="klingon"?><{root}>{content}</{root}>',
        '<?xml version="1.0" encoding="UTF-16"?><{root}>{content}</{root}>',
        "\xff\xfe<{root}>{content}</{root}>",
        "{{}}",
    ],
)
def test_what_is_no_document(root: str, content: str, parse: Callable[[bytes], object], template: str) -> None:
    document = template.format(root=root, content=content).encode("latin-1")
    if not document and parse is parse_create_bucket:
        assert parse(document) == ""  # CreateBucket may come without one.
        return
    assert refusal_of("MalformedXML", parse, document).status == 400


@pytest.mark.parametrize("parse", [parse for _, _, parse in PARSERS])
@given(body=st.binary(max_size=200) | st.text('<>/&;DeletObjcKyPar1"= \n', max_size=200).map(str.encode))
def test_nothing_but_an_error_of_s3(parse: Callable[[bytes], object], body: bytes) -> None:
    with suppress(S3Error):
        parse(body)


def test_a_hostile_document_costs_no_memory() -> None:
    """Four megabytes of empty elements would be a hundred of tree."""
    for document in (
        b"<Delete>" + b"<Object/>" * 450_000 + b"</Delete>",
        b"<Delete>" + b"<a>" * 500_000,
        b"<CompleteMultipartUpload>" + b"<Part/>" * 500_000,
    ):
        tracemalloc.start()
        refusal_of("MalformedXML", parse_delete if document.startswith(b"<D") else parse_complete_multipart_upload, document)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 24 * 1024**2


@pytest.mark.parametrize(
    "root",
    [
        "<Delete" + "".join([f' a{number}=""' for number in range(20_000)]) + ">",
        "<Delete" + "".join([f' xmlns:a{number}="u"' for number in range(20_000)]) + ">",
        "<!--" + "x" * 150_000 + "--><Delete>",
    ],
    ids=["attributes", "namespaces", "comment"],
)
def test_a_tag_has_a_length(root: str) -> None:
    """No other thread has a turn while one is parsed; of a few attributes nobody is asked."""
    object_ = "<Object><Key>k</Key></Object></Delete>"
    assert parse_delete(f'<Delete a="1" xmlns:b="u" b:c="2">{object_}'.encode()).keys == (KeyToDelete("k"),)
    refusal_of("MalformedXML", parse_delete, f"{root}{object_}".encode())


@pytest.mark.parametrize("shift", range(0, 120, 5))
def test_a_long_document_may_be_cut_anywhere_for_parsing(shift: int) -> None:
    keys = tuple(KeyToDelete(f"{number}/€ü\U0001f600{'k' * (number % 97)}") for number in range(1000))
    objects = [f"<Object>\r\n  <Key><![CDATA[{each.key}]]></Key>\r\n</Object><!-- {each.key} -->" for each in keys]
    body = delete("<!--" + "x" * shift + "-->", *objects)
    assert len(body) > 2 * 64 * 1024
    assert parse_delete(body).keys == keys


# --- CompleteMultipartUpload ---------------------------------------------------------------------------------------


def test_finished_parts() -> None:
    body = complete(part(1, "&quot;a&quot;"), part(7, "b", "<ChecksumCRC32C> AAAAAA== </ChecksumCRC32C><ChecksumSHA1/>"), part(10_000))
    assert parse_complete_multipart_upload(body) == (
        FinishedPart(1, "a"),
        FinishedPart(7, "b", {"CRC32C": "AAAAAA=="}),
        FinishedPart(10_000, "e"),
    )


def test_as_many_parts_as_there_can_be() -> None:
    assert len(parse_complete_multipart_upload(complete(*[part(number) for number in range(1, 10_001)]))) == 10_000


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1), (1, 3, 2)])
def test_parts_come_in_order(numbers: tuple[int, ...]) -> None:
    refusal_of("InvalidPartOrder", parse_complete_multipart_upload, complete(*[part(number) for number in numbers]))


@pytest.mark.parametrize("number", ["0", "10001", "9" * 30])
def test_parts_have_numbers_up_to_10000(number: str) -> None:
    refusal_of("InvalidArgument", parse_complete_multipart_upload, complete(part(number)))


@pytest.mark.parametrize(
    "members",
    [
        "",
        part(""),
        part("one"),
        part("-1"),
        part("٣"),
        part(1, ""),
        "<Part><PartNumber>1</PartNumber></Part>",
        "<Part><ETag>e</ETag></Part>",
        part(1, more="<ETag>f</ETag>"),
        part(1, more="<Size>3</Size>"),
        part(1, more="<ChecksumCRC16>x</ChecksumCRC16>"),
        part("<b>1</b>"),
        "<PartNumber>1</PartNumber>",
    ],
)
def test_what_is_no_part(members: str) -> None:
    refusal_of("MalformedXML", parse_complete_multipart_upload, complete(members))


# --- Delete --------------------------------------------------------------------------------------------------------


def test_keys_to_delete() -> None:
    body = delete(
        "<Quiet>true</Quiet>",
        "<Object><Key> a &amp; b\n</Key></Object>",
        "<Object><Key>&#13;ü</Key><VersionId>null</VersionId><ETag>&quot;e&quot;</ETag></Object>",
    )
    assert parse_delete(body) == DeleteRequest(
        (KeyToDelete(" a & b\n"), KeyToDelete("\rü", "null", Conditions(if_match="e"))),
        quiet=True,
    )


@pytest.mark.parametrize(("text", "quiet"), [("true", True), ("TRUE", True), ("false", False), ("", False)])
def test_quiet(text: str, quiet: bool) -> None:
    assert parse_delete(delete(f"<Quiet>{text}</Quiet><Object><Key>k</Key></Object>")).quiet is quiet


def test_at_most_a_thousand() -> None:
    one = "<Object><Key>k</Key></Object>"
    assert len(parse_delete(delete(one * 1000)).keys) == 1000
    refusal_of("MalformedXML", parse_delete, delete(one * 1001))


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ("", "MalformedXML"),
        ("<Quiet>true</Quiet>", "MalformedXML"),
        ("<Quiet>perhaps</Quiet><Object><Key>k</Key></Object>", "MalformedXML"),
        ("<Object/>", "MalformedXML"),
        ("<Object><Key/></Object>", "MalformedXML"),
        ("<Object><Key>a</Key><Key>b</Key></Object>", "MalformedXML"),
        ("<Object><Key>a</Key><ETag></ETag></Object>", "MalformedXML"),
        ("<Object><Key>a</Key><ETag> </ETag></Object>", "MalformedXML"),
        ("<Object><Key>a</Key><ETag>&quot;&quot;</ETag></Object>", "MalformedXML"),
        ("<Object><Key><b>k</b></Key></Object>", "MalformedXML"),
        ("<Object><Key>k</Key><Owner>me</Owner></Object>", "MalformedXML"),
        (f"<Object><Key>{'k' * 1025}</Key></Object>", "KeyTooLongError"),
        ("<Object><Key>k</Key><Size>3</Size></Object>", "NotImplemented"),
        ("<Object><Key>k</Key><LastModifiedTime>x</LastModifiedTime></Object>", "NotImplemented"),
    ],
)
def test_what_cannot_be_deleted(members: str, code: str) -> None:
    refusal_of(code, parse_delete, delete(members))


# --- CreateBucketConfiguration -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"", ""),
        (b"<CreateBucketConfiguration/>", ""),
        (b"<CreateBucketConfiguration><LocationConstraint> eu-central-1 </LocationConstraint></CreateBucketConfiguration>", "eu-central-1"),
        (b"<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>", ""),
    ],
)
def test_where_a_bucket_is_to_be(body: bytes, location: str) -> None:
    assert parse_create_bucket(body) == location
