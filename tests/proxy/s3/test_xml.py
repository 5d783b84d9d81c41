"""Documents as botocore reads them, and a few to the letter."""

from __future__ import annotations

import re
import time
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.wire import as_botocore_reads, refusal_of

from s3o_proxy.domain.model import Description, Digests, ListedObject, ListedUpload, Part, Upload
from s3o_proxy.s3 import operation as ops
from s3o_proxy.s3.errors import S3Error, to_s3_error
from s3o_proxy.s3.identifiers import OWNER_ID, OWNER_NAME
from s3o_proxy.s3.tokens import decode_token
from s3o_proxy.s3.xml import escape, render, render_error

AT_MS = 1_774_026_585_123
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
DIGESTS = Digests("AAAAAAAAAAA=", {"CRC32": "AAAAAA=="}, "FULL_OBJECT")
OWNER = {"ID": OWNER_ID, "DisplayName": OWNER_NAME}


def listed(key: str) -> ListedObject:
    return ListedObject(key, 3, "etag", AT_MS, ("CRC64NVME",), "FULL_OBJECT")


# --- listings ------------------------------------------------------------------------------------------------------


def test_a_page_of_version_2_to_the_letter() -> None:
    request = ops.ListObjectsV2("photos", prefix="a", delimiter="/", start_after="a1", after="a1", max_keys=2)
    page = ops.ObjectsListed(request, (listed("a2"),), ("ab/",), "ab/")
    text = render(page).decode()
    token = text.partition("<NextContinuationToken>")[2].partition("<")[0]
    assert decode_token(token) == "ab/"
    assert text == (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult {NAMESPACE}><Name>photos</Name><Prefix>a</Prefix><KeyCount>2</KeyCount>'
        f"<StartAfter>a1</StartAfter><NextContinuationToken>{token}</NextContinuationToken><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter>"
        "<IsTruncated>true</IsTruncated><Contents><Key>a2</Key><LastModified>2026-03-20T17:09:45.000Z</LastModified>"
        "<ETag>&quot;etag&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
        "<Size>3</Size><StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>ab/</Prefix></CommonPrefixes>"
        "</ListBucketResult>"
    )


def test_a_later_page_repeats_its_token_and_names_owners_when_asked() -> None:
    request = ops.ListObjectsV2("photos", after="k", start_after="a", continuation_token="t", fetch_owner=True)
    parsed = as_botocore_reads("ListObjectsV2", render(ops.ObjectsListed(request, (listed("l"),), (), None)))
    assert parsed["ContinuationToken"] == "t"
    assert "StartAfter" not in parsed
    assert "NextContinuationToken" not in parsed
    assert parsed["IsTruncated"] is False
    assert parsed["Contents"][0]["Owner"] == OWNER


def test_a_page_of_version_1() -> None:
    request = ops.ListObjects("photos", "", "p", "/", "m", 1)
    parsed = as_botocore_reads("ListObjects", render(ops.ObjectsListed(request, (), ("p/",), "p/")))
    assert (parsed["Marker"], parsed["NextMarker"], parsed["Delimiter"], parsed["IsTruncated"]) == ("m", "p/", "/", True)
    assert parsed["CommonPrefixes"] == [{"Prefix": "p/"}]
    full = as_botocore_reads("ListObjects", render(ops.ObjectsListed(request, (listed("k"),), (), None)))
    assert full["Contents"][0]["Owner"] == OWNER
    assert "NextMarker" not in full


def test_url_encoding_of_everything_that_is_a_key() -> None:
    version_1 = ops.ListObjects("photos", "", "a b/", "+", "a b/ä", 5, url_encode=True)
    text = render(ops.ObjectsListed(version_1, (listed("a b/\x01+%"),), ("a b/c+",), "a b/c+")).decode()
    for name, value in (
        ("Prefix", "a%20b/"),
        ("Delimiter", "%2B"),
        ("Marker", "a%20b/%C3%A4"),
        ("NextMarker", "a%20b/c%2B"),
        ("Key", "a%20b/%01%2B%25"),
        ("EncodingType", "url"),
    ):
        assert f"<{name}>{value}</{name}>" in text
    version_2 = ops.ListObjectsV2("photos", start_after="ü", url_encode=True)
    assert "<StartAfter>%C3%BC</StartAfter>" in render(ops.ObjectsListed(version_2, (), (), None)).decode()


@given(st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32, exclude_characters="\x7f\ufffe\uffff"), min_size=1, max_size=20))
def test_any_printable_key_comes_back(key: str) -> None:
    page = ops.ObjectsListed(ops.ListObjectsV2("photos"), (listed(key),), (), None)
    assert as_botocore_reads("ListObjectsV2", render(page))["Contents"][0]["Key"] == key


@pytest.mark.parametrize(("url_encode", "shown"), [(False, ["a", "b &amp; c", "ä"]), (True, ["a", "b%20%26%20c", "%C3%A4"])])
def test_one_key_that_must_be_encoded_changes_no_other(url_encode: bool, shown: list[str]) -> None:
    request = ops.ListObjectsV2("photos", url_encode=url_encode)
    text = render(ops.ObjectsListed(request, (listed("a"), listed("b & c")), ("ä",), None)).decode()
    assert re.findall("<Key>(.*?)</Key>|<CommonPrefixes><Prefix>(.*?)</Prefix>", text) == [(shown[0], ""), (shown[1], ""), ("", shown[2])]


def test_each_key_has_its_own_checksums_and_second() -> None:
    rows = (
        ListedObject("a", 1, "e", AT_MS, (), "FULL_OBJECT"),
        ListedObject("b", 1, "e", AT_MS + 1000, ("CRC32", "SHA1"), "COMPOSITE"),
        ListedObject("c", 1, "e", AT_MS + 86_400_000, ("CRC32",), "FULL_OBJECT"),
    )
    shown = as_botocore_reads("ListObjectsV2", render(ops.ObjectsListed(ops.ListObjectsV2("photos"), rows, (), None)))["Contents"]
    assert [each.get("ChecksumAlgorithm") for each in shown] == [None, ["CRC32", "SHA1"], ["CRC32"]]
    assert [each.get("ChecksumType") for each in shown] == [None, "COMPOSITE", "FULL_OBJECT"]
    assert [f"{each['LastModified']:%d %X}" for each in shown] == ["20 17:09:45", "20 17:09:46", "21 17:09:45"]


def test_control_characters_are_references() -> None:
    assert escape("a\x01\r\n\t<&>\"'\x85") == "a&#x1;&#xD;&#xA;&#x9;&lt;&amp;&gt;&quot;'&#x85;"
    page = render(ops.ObjectsListed(ops.ListObjectsV2("photos"), (listed("a\r\nb"),), (), None))
    assert fromstring(page).findtext(".//{*}Key") == "a\r\nb"


# --- multipart -----------------------------------------------------------------------------------------------------

UPLOAD = Upload(
    upload_id="u&1",
    bucket="photos",
    key="k ü",
    write_id="w",
    backend="b1",
    storage_key="s",
    backend_upload_id="bu",
    initiated_ms=AT_MS,
    description=Description(),
    checksum_algorithm="CRC32",
    checksum_type="FULL_OBJECT",
)


def test_an_upload_begins() -> None:
    parsed = as_botocore_reads("CreateMultipartUpload", render(ops.UploadCreated(UPLOAD)))
    assert parsed == {"Bucket": "photos", "Key": "k ü", "UploadId": "u&1"}


def test_an_upload_ends() -> None:
    result = ops.UploadCompleted("photos", "k ü/+", "e-2", DIGESTS)
    parsed = as_botocore_reads("CompleteMultipartUpload", render(result, base_url="https://s3.example.com"))
    assert parsed == {
        "Location": "https://s3.example.com/photos/k%20%C3%BC/%2B",
        "Bucket": "photos",
        "Key": "k ü/+",
        "ETag": '"e-2"',
        "ChecksumCRC32": "AAAAAA==",
        "ChecksumType": "FULL_OBJECT",
    }


def test_its_parts() -> None:
    part = Part(3, 5, "p", "bp", AT_MS, DIGESTS)
    result = ops.PartsListed(ops.ListParts("photos", "k", "u&1", 2, 1), UPLOAD, (part,), True)
    parsed = as_botocore_reads("ListParts", render(result))
    assert (parsed["PartNumberMarker"], parsed["NextPartNumberMarker"], parsed["MaxParts"], parsed["IsTruncated"]) == (2, 3, 1, True)
    assert (parsed["ChecksumAlgorithm"], parsed["ChecksumType"]) == ("CRC32", "FULL_OBJECT")
    (read,) = parsed["Parts"]
    assert (read["PartNumber"], read["Size"], read["ETag"], read["ChecksumCRC32"]) == (3, 5, '"p"', "AAAAAA==")


def test_the_end_of_the_parts_says_where_it_stands() -> None:
    parsed = as_botocore_reads("ListParts", render(ops.PartsListed(ops.ListParts("photos", "k", "u", 9), UPLOAD, (), False)))
    assert (parsed["NextPartNumberMarker"], parsed["IsTruncated"]) == (9, False)


@pytest.mark.parametrize(
    ("uploads", "prefixes", "next_marker"),
    [
        (("a", "c"), ("b/",), ("c", "u-c")),
        (("a",), ("b/",), ("b/", "")),
        (("a",), (), ("a", "u-a")),
        (("\U0001f600",), ("\uffee/",), ("\U0001f600", "u-\U0001f600")),
    ],
)
def test_uploads_in_progress_go_on_behind_the_last(
    uploads: tuple[str, ...], prefixes: tuple[str, ...], next_marker: tuple[str, str]
) -> None:
    request = ops.ListMultipartUploads("photos", "", "", "/", "k", "u", 3)
    found = tuple(ListedUpload(key, "u-" + key, AT_MS, "CRC32", "COMPOSITE") for key in uploads)
    parsed = as_botocore_reads("ListMultipartUploads", render(ops.UploadsListed(request, found, prefixes, True)))
    assert (parsed["NextKeyMarker"], parsed["NextUploadIdMarker"]) == next_marker
    assert (parsed["KeyMarker"], parsed["UploadIdMarker"], parsed["MaxUploads"]) == ("k", "u", 3)
    assert [each["Key"] for each in parsed["Uploads"]] == list(uploads)
    assert parsed["Uploads"][0]["ChecksumAlgorithm"] == "CRC32"


# --- the rest ------------------------------------------------------------------------------------------------------


def test_copies() -> None:
    parsed = as_botocore_reads("CopyObject", render(ops.ObjectCopied("e", AT_MS, DIGESTS)))["CopyObjectResult"]
    assert (parsed["ETag"], parsed["ChecksumCRC32"], parsed["ChecksumType"]) == ('"e"', "AAAAAA==", "FULL_OBJECT")
    assert parsed["LastModified"].isoformat() == "2026-03-20T17:09:45+00:00"
    part = as_botocore_reads("UploadPartCopy", render(ops.ObjectCopied("e", AT_MS, DIGESTS, part=True)))["CopyPartResult"]
    assert (part["ETag"], part["ChecksumCRC32"]) == ('"e"', "AAAAAA==")


def test_deletions() -> None:
    result = ops.ObjectsDeleted(("a&b",), (ops.DeleteFailure("c", "AccessDenied", "No <way>"),))
    assert as_botocore_reads("DeleteObjects", render(result)) == {
        "Deleted": [{"Key": "a&b"}],
        "Errors": [{"Key": "c", "Code": "AccessDenied", "Message": "No <way>"}],
    }


def test_buckets() -> None:
    parsed = as_botocore_reads("ListBuckets", render(ops.BucketsListed((("photos", AT_MS),))))
    assert [bucket["Name"] for bucket in parsed["Buckets"]] == ["photos"]
    assert parsed["Owner"] == OWNER
    paged = as_botocore_reads("ListBuckets", render(ops.BucketsListed((("photos", AT_MS),), ops.ListBuckets(prefix="p"), "photos")))
    assert (paged["Prefix"], decode_token(paged["ContinuationToken"])) == ("p", "photos")


@pytest.mark.parametrize(("region", "text"), [("us-east-1", ""), ("eu-central-1", "eu-central-1")])
def test_the_first_region_has_no_name(region: str, text: str) -> None:
    assert render(ops.BucketLocation(region)).decode().endswith(f"<LocationConstraint {NAMESPACE}>{text}</LocationConstraint>")


def test_an_unconfigured_bucket() -> None:
    assert render(ops.NothingConfigured("versioning")).decode().endswith(f"<VersioningConfiguration {NAMESPACE}/>")
    refusal_of("NoSuchBucketPolicy", render, ops.NothingConfigured("policy"))


def test_answers_without_a_document() -> None:
    for result in (ops.ObjectWritten("e", DIGESTS), ops.PartWritten("e", DIGESTS), ops.Deleted(), ops.BucketExists()):
        assert render(result) == b""


def test_an_error_to_the_letter() -> None:
    error = S3Error("NoSuchKey", extra={"Key": "a&b"})
    assert render_error(error, "/photos/a&b", "4442587FB7D0A2F9", "host").decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>'
        "<Key>a&amp;b</Key><Resource>/photos/a&amp;b</Resource><RequestId>4442587FB7D0A2F9</RequestId><HostId>host</HostId></Error>"
    )


@given(st.text(max_size=30))
def test_any_error_is_a_document(text: str) -> None:
    """Whatever stands in a request can come back in an error, lone surrogates included."""
    document = render_error(S3Error("InvalidArgument", text, extra={"ArgumentValue": text}), text, "id")
    assert fromstring(document.decode("utf-8")).findtext("Code") == "InvalidArgument"


@pytest.mark.parametrize(
    ("text", "shown"), [("a\0b", "a%00b"), ("\x01\x1f", "%01%1F"), ("\ufffe", "%EF%BF%BE"), ("\r\t\x7f\x85", "\r\t\x7f\x85")]
)
def test_an_error_is_well_formed_whatever_key_it_names(text: str, shown: str) -> None:
    """Bug class: a client that cannot parse the document never learns that it was NoSuchKey."""
    document = fromstring(render_error(S3Error("NoSuchKey", extra={"Key": text}), f"/photos/{text}", "id"))
    assert (document.findtext("Key"), document.findtext("Resource")) == (shown, f"/photos/{shown}")


def test_an_error_as_botocore_reads_it() -> None:
    document = render_error(to_s3_error(ValueError("x")), "/photos", "id")
    assert as_botocore_reads("GetObject", document, status=500)["Error"]["Code"] == "InternalError"


def test_how_long_a_page_takes() -> None:
    """A figure for the log, with a bound that only a mistake of method would break (the aim is 1 ms)."""
    page = ops.ObjectsListed(
        ops.ListObjectsV2("photos"), tuple([listed(f"photos/2026/{number:06}.jpg") for number in range(1000)]), (), None
    )
    started = time.perf_counter()
    for _ in range(10):
        render(page)
    each_ms = (time.perf_counter() - started) * 100
    print(f"a page of 1,000 keys: {each_ms:.2f} ms")
    assert each_ms < 50
