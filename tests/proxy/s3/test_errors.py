"""Every error of the domain has its S3 error, and every S3 error that anybody raises has its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import s3o_proxy
from s3o_proxy.domain import errors as domain
from s3o_proxy.s3.errors import CODES, DOMAIN_ERRORS, S3Error, to_s3_error


def tree(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(tree(child) for child in kind.__subclasses__()))


def test_every_error_of_the_domain_has_its_row() -> None:
    missing = {kind.__name__ for kind in tree(domain.DomainError) if kind.__module__ == domain.__name__} - {
        kind.__name__ for kind in DOMAIN_ERRORS
    }
    assert not missing, f"give these a row in DOMAIN_ERRORS of s3/errors.py: {missing}"


def test_every_code_that_is_raised_is_in_the_table() -> None:
    sources = "".join(path.read_text() for path in Path(s3o_proxy.__file__).parent.rglob("*.py"))
    raised = set(re.findall(r'S3Error\(\s*"(\w+)"', sources))
    assert len(raised) > 20
    assert raised <= CODES.keys()


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (domain.NoSuchBucket("b"), "NoSuchBucket", 404),
        (domain.NoSuchKey("b", "k"), "NoSuchKey", 404),
        (domain.NoSuchUpload("u"), "NoSuchUpload", 404),
        (domain.UploadBusy("u"), "SlowDown", 503),
        (domain.InvalidPart(3), "InvalidPart", 400),
        (domain.TooManyUploads("b", 5), "SlowDown", 503),
        (domain.IncompleteBody(10, 5), "IncompleteBody", 400),
        (domain.MalformedBody("no chunk size"), "IncompleteBody", 400),
        (domain.MalformedTrailer("not announced"), "MalformedTrailerError", 400),
        (domain.InvalidTrailer("x-amz-checksum-crc32"), "InvalidRequest", 400),
        (domain.DocumentTooLong(10, 5), "MaxMessageLengthExceeded", 400),
        (domain.PayloadHashMismatch(), "XAmzContentSHA256Mismatch", 400),
        (domain.ChunkSignatureMismatch(), "SignatureDoesNotMatch", 403),
        (domain.ClientTimeout("30 s"), "RequestTimeout", 400),
        (domain.BackendRejected("b1", 403, "AccessDenied", "no"), "ServiceUnavailable", 503),
        (domain.BackendThrottled("b1", "slow"), "SlowDown", 503),
        (domain.NoCopyReadable({"b1": "404"}), "ServiceUnavailable", 503),
        (domain.AllBackendsFailed({"b1": "refused"}), "ServiceUnavailable", 503),
        (domain.MetadataUnavailable("no connection"), "ServiceUnavailable", 503),
        (domain.OutcomeUnknown("broken"), "ServiceUnavailable", 503),
        (domain.WriteLost("w"), "ServiceUnavailable", 503),
        (domain.Overloaded(5), "SlowDown", 503),
        (ValueError("of ours"), "InternalError", 500),
    ],
)
def test_translations(error: Exception, code: str, status: int) -> None:
    answer = to_s3_error(error)
    assert (answer.code, answer.status) == (code, status)


def test_what_can_be_tried_again_says_when() -> None:
    for error in (domain.MetadataUnavailable("x"), domain.BackendTimeout("b", "x"), domain.Overloaded(1), domain.UploadBusy("u")):
        answer = to_s3_error(error)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1


def test_four_reasons_for_no_space_are_four_sentences() -> None:
    errors = (domain.NoBackends(), domain.NoBackendAccepts(("b1",)), domain.ObjectTooLarge(9, 5), domain.QuotaExceeded(9, 5))
    answers = [to_s3_error(error) for error in errors]
    assert {(answer.code, answer.status) for answer in answers} == {("InsufficientStorage", 507)}
    assert len({answer.message for answer in answers}) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Content-MD5", "The Content-MD5 you specified did not match what we received."),
        ("x-amz-checksum-crc32c", "The CRC32C you specified did not match the calculated checksum."),
    ],
)
def test_which_digest_differs(name: str, message: str) -> None:
    assert to_s3_error(domain.BadDigest(name)).message == message


def test_a_range_outside_says_the_size() -> None:
    answer = to_s3_error(domain.RangeNotSatisfiable(10))
    assert (answer.status, answer.headers["content-range"], answer.extra["ActualObjectSize"]) == (416, "bytes */10", "10")


def test_a_part_that_is_not_there_says_how_many_there_are() -> None:
    answer = to_s3_error(domain.PartNotSatisfiable(3, 2))
    assert (answer.code, answer.status, answer.extra) == ("InvalidPartNumber", 416, {"PartNumberRequested": "3", "ActualPartCount": "2"})


def test_what_did_not_hold() -> None:
    assert to_s3_error(domain.PreconditionFailed("If-Match")).extra == {"Condition": "If-Match"}
    too_small = to_s3_error(domain.PartTooSmall(2, 10, 5 * 1024**2))
    assert too_small.extra == {"ProposedSize": "10", "MinSizeAllowed": "5242880", "PartNumber": "2"}


def test_trouble_of_ours_names_nothing_of_ours() -> None:
    """Backends, statements and addresses are for the log."""
    for error in (
        domain.AllBackendsFailed({"hetzner": "10.0.0.7 refused"}),
        domain.MetadataUnavailable("postgres://user:pass@db"),
        ValueError("/etc/secret"),
    ):
        assert not re.search("hetzner|10.0.0.7|postgres|pass|secret", to_s3_error(error).message)


def test_an_s3_error_is_its_own_translation() -> None:
    error = S3Error("NoSuchVersion")
    assert to_s3_error(error) is error
