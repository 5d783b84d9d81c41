"""curl: presigned URLs, and its own signing. Nothing of an SDK stands between it and the endpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.config import Config
from tests.support import manifests
from tests.support.fleet import Fleet, Launch
from tests.support.programs import Completed, run
from tests.support.trees import random_bytes

V4 = Config(signature_version="s3v4")


def curl(fleet: Fleet, *arguments: str | Path) -> Completed:
    trust: list[str | Path] = ["--cacert", fleet.certificate] if fleet.certificate else []
    return run(["curl", "--silent", "--show-error", "--path-as-is", *trust, *arguments], env=fleet.env())


def status_of(fleet: Fleet, *arguments: str | Path) -> int:
    return int(curl(fleet, "--output", "/dev/null", "--write-out", "%{http_code}", *arguments).text)


@pytest.mark.parametrize("key", ["plain", "a b+c%20d/ü//~'(x)!*&=#?"])
def test_presigned_put_and_get(fleet: Fleet, tmp_path: Path, key: str) -> None:
    content = random_bytes(3_000_000)
    (tmp_path / "up").write_bytes(content)
    assert status_of(fleet, "--upload-file", tmp_path / "up", fleet.presigned_url("put_object", key)) == 200
    curl(fleet, "--fail", "--output", tmp_path / "down", fleet.presigned_url("get_object", key))
    assert (tmp_path / "down").read_bytes() == content
    assert fleet.client().get_object(Bucket=fleet.bucket, Key=key)["Body"].read() == content


def test_presigned_put_of_a_stream_without_a_length_is_refused_as_s3_does(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"x" * 1000)
    url = fleet.presigned_url("put_object", "no-length")
    answer = curl(fleet, "--upload-file", tmp_path / "up", "--header", "Transfer-Encoding: chunked", "--write-out", "%{http_code}", url)
    assert "<Code>MissingContentLength</Code>" in answer.text
    assert answer.text.endswith("411")


def test_presigned_get_with_a_range_and_overrides(fleet: Fleet) -> None:
    fleet.client().put_object(Bucket=fleet.bucket, Key="digits", Body=b"0123456789")
    parameters = {"Bucket": fleet.bucket, "Key": "digits", "ResponseContentDisposition": 'attachment; filename="d.txt"'}
    url = fleet.client(config=V4).generate_presigned_url("get_object", Params=parameters)
    answer = curl(fleet, "--include", "--range", "2-4", url).text
    head, _, body = answer.partition("\r\n\r\n")
    assert body == "234"
    assert "206" in head.splitlines()[0]
    assert 'content-disposition: attachment; filename="d.txt"' in head.lower()


def test_a_url_opens_what_it_was_made_for_and_nothing_else(fleet: Fleet, tmp_path: Path) -> None:
    fleet.client().put_object(Bucket=fleet.bucket, Key="mine", Body=b"1")
    url = fleet.presigned_url("get_object", "mine")
    assert status_of(fleet, url) == 200
    assert status_of(fleet, url.replace("/mine", "/yours")) == 403
    assert status_of(fleet, "--upload-file", __file__, url) == 403
    assert status_of(fleet, "--request", "DELETE", url) == 403
    assert status_of(fleet, url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")) == 403
    assert status_of(fleet, f"{url}&acl") in (403, 501)
    assert fleet.client().get_object(Bucket=fleet.bucket, Key="mine")["Body"].read() == b"1"


def test_nobody_without_a_signature(fleet: Fleet) -> None:
    answer = curl(fleet, f"{fleet.endpoint}/{fleet.bucket}/mine").text
    assert "<Code>AccessDenied</Code>" in answer
    assert "<RequestId>" in answer
    assert f"<Resource>/{fleet.bucket}/mine</Resource>" in answer


def test_curl_signs_by_itself(fleet: Fleet, tmp_path: Path) -> None:
    keys = f"{fleet.keys.access_key_id}:{fleet.keys.secret_access_key}"
    # A later curl does not sign a path as it is.
    sign = ["--no-path-as-is", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", keys, "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    (tmp_path / "up").write_bytes(b"signed by curl")
    url = f"{fleet.endpoint}/{fleet.bucket}/signed"
    assert status_of(fleet, *sign, "--upload-file", tmp_path / "up", url) == 200
    assert curl(fleet, *sign, url).output == b"signed by curl"
    head = curl(fleet, *sign, "--head", url).text
    assert "content-length: 14" in head.lower()


def test_a_token_instead_of_a_signature(fleet: Fleet, tmp_path: Path) -> None:
    manifests.write(fleet.config / "token.yaml", manifests.secret("letters-token", {"token": "open sesame"}))
    with fleet.next_generation():
        fleet.write_bucket("letters", credentials=[{"name": "door", "type": "Token", "secretRef": {"name": "letters-token"}}])
    (tmp_path / "up").write_bytes(b"by token")
    token, url = ["--header", "X-Proxy-Token: open sesame"], f"{fleet.endpoint}/letters/a%20b"
    assert status_of(fleet, *token, "--upload-file", tmp_path / "up", url) == 200
    assert curl(fleet, *token, url).output == b"by token"
    assert status_of(fleet, "--header", "X-Proxy-Token: open", url) == 403
    assert status_of(fleet, *token, f"{fleet.endpoint}/{fleet.bucket}/signed") == 403


def test_the_bucket_may_stand_in_the_host(launch: Launch, tmp_path: Path) -> None:
    fleet = launch(server={"virtualHostDomain": "s3.example.com"})
    fleet.client().put_object(Bucket=fleet.bucket, Key="a b", Body=b"found")
    style = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    by_host = fleet.client(endpoint=f"http://s3.example.com:{fleet.proxies[0].port}", config=style)
    url = by_host.generate_presigned_url("get_object", Params={"Bucket": fleet.bucket, "Key": "a b"})
    assert url.startswith(f"http://{fleet.bucket}.s3.example.com:")
    here = ["--connect-to", f"::127.0.0.1:{fleet.proxies[0].port}"]
    assert curl(fleet, *here, url).output == b"found"


def test_signature_version_2_is_refused_by_default(fleet: Fleet) -> None:
    fleet.client().put_object(Bucket=fleet.bucket, Key="old", Body=b"1")
    url = fleet.presigned_url("get_object", "old", signature_version="s3")
    assert "AWSAccessKeyId=" in url
    answer = curl(fleet, "--write-out", "%{http_code}", url).text
    assert "AWS4-HMAC-SHA256" in answer, "the refusal does not say what to use instead"
    assert answer.endswith("400")


def test_signature_version_2_is_accepted_where_the_orchestrator_says_so(launch: Launch, tmp_path: Path) -> None:
    lenient = launch(server={"presignedSigV2": True})
    (tmp_path / "up").write_bytes(b"version 2")
    assert status_of(lenient, "--upload-file", tmp_path / "up", lenient.presigned_url("put_object", "a b/ü", signature_version="s3")) == 200
    assert curl(lenient, lenient.presigned_url("get_object", "a b/ü", signature_version="s3")).output == b"version 2"
    assert status_of(lenient, lenient.presigned_url("get_object", "a b/ü", signature_version="s3").replace("%20", "%21")) == 403
    assert status_of(lenient, lenient.presigned_url("get_object", "a b/ü", signature_version="s3", expires_s=-10)) == 403


def test_head_and_errors_have_no_body_where_http_forbids_one(fleet: Fleet) -> None:
    url = fleet.presigned_url("head_object", "never-was")
    answer = curl(fleet, "--head", url).text
    assert "404" in answer.splitlines()[0]
