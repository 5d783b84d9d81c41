"""Request → who sent it. Four ways in: SigV4 by header, SigV4 by query, SigV2 by query (an option), and X-Proxy-Token."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

from s3o_proxy.auth.chunk_signature import ChunkSignatures, UncheckedSignatures
from s3o_proxy.auth.presigned import is_presigned_v4, parse_presigned
from s3o_proxy.auth.presigned_v2 import is_presigned_v2, matches_v2, parse_presigned_v2
from s3o_proxy.auth.sigv4 import (
    ALGORITHM,
    Claim,
    check_scope_date,
    check_signed_headers,
    check_skew,
    malformed,
    parse_authorization,
    request_time,
    signature_mismatch,
    verify,
)
from s3o_proxy.config.snapshot import Credential
from s3o_proxy.domain.frozen import frozen
from s3o_proxy.domain.signing_key import SigningKey, derive_signing_key
from s3o_proxy.s3.body_promises import payload_mode
from s3o_proxy.s3.errors import S3Error, invalid_argument
from s3o_proxy.s3.query import parse_query
from s3o_proxy.s3.request import RequestFacts

TOKEN_HEADER = "x-proxy-token"  # noqa: S105 - the name of a header

_DUMMY_SECRET = "0" * 40
"""Stands in for the secret of a key nobody has, so that the answer takes as long as for a known key with a wrong signature."""

_MAX_REMEMBERED = 4096
_MAX_PREFIX_LENGTH = 1024
_MAX_REGION_LENGTH = 64
"""What is longer is no less right, only not remembered: a tenant who signs long nonsense shall not fill the memory of all."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class CredentialLookup(Protocol):
    """Where credentials are found; `config.snapshot.Snapshot` is one."""

    def find_access_key(self, access_key_id: str) -> Credential | None: ...

    def find_token(self, token: str) -> Credential | None: ...


@frozen
class Authentication:
    """`chunk_signatures` is there where each chunk of the body carries a signature: whoever reads the body holds the chunks against it."""

    credential: Credential
    method: Literal["header", "presigned", "presigned-v2", "token"]
    chunk_signatures: ChunkSignatures | UncheckedSignatures | None = None


class Authenticator:
    """Remembers, within bounds, the claims and signing keys of requests that proved right; what proved wrong leaves nothing behind."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._keys: dict[tuple[str, str, str], tuple[Credential, SigningKey]] = {}

    def authenticate(
        self,
        facts: RequestFacts,
        credentials: CredentialLookup,
        now_ms: int,
        *,
        allow_sig_v2: bool = False,
        virtual_host_domain: str = "",
    ) -> Authentication:
        """Raises S3Error: AccessDenied for a request without proof, else what exactly is wrong with the proof."""
        headers, query = facts.headers, facts.raw_query
        if TOKEN_HEADER in headers:
            return _by_token(facts, credentials)
        by_query = bool(query) and (is_presigned_v4(query) or is_presigned_v2(query))
        authorization = headers.get("authorization")
        if authorization is not None:
            if by_query:
                raise invalid_argument(
                    "Authorization",
                    authorization.partition(" ")[0],
                    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the "
                    "Authorization header should be specified",
                )
            return self._by_header(facts, authorization, credentials, now_ms)
        if not by_query:
            raise S3Error("AccessDenied")
        if is_presigned_v4(query):
            return self._by_query(facts, credentials, now_ms)
        if not allow_sig_v2:
            raise _unsupported_mechanism()
        return _by_query_v2(facts, credentials, now_ms, virtual_host_domain)

    def _by_header(self, facts: RequestFacts, authorization: str, credentials: CredentialLookup, now_ms: int) -> Authentication:
        headers = facts.headers
        prefix, _, signature = authorization.rpartition("Signature=")
        claim = self._claims.get(prefix)
        new = claim is None
        if claim is None:
            _check_mechanism(authorization)
            claim, signature = parse_authorization(authorization)
        _refuse_session_token("x-amz-security-token" in headers)
        amz_time, at_ms = request_time(headers)
        check_scope_date(claim.scope, amz_time, malformed)
        check_skew(amz_time, at_ms, now_ms)
        payload_hash = payload_mode(headers)
        if not payload_hash:
            raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        check_signed_headers(headers, claim.signed_headers)
        authentication = self._proved(facts, claim, signature, amz_time, payload_hash, credentials, "header")
        if new and len(prefix) <= _MAX_PREFIX_LENGTH and authorization.endswith("Signature=" + signature):
            _remember(self._claims, prefix, claim)
        return authentication

    def _by_query(self, facts: RequestFacts, credentials: CredentialLookup, now_ms: int) -> Authentication:
        parameters = parse_query(facts.raw_query)
        _refuse_session_token("X-Amz-Security-Token" in parameters)
        found = parse_presigned(parameters, facts.headers, now_ms)
        return self._proved(facts, found.claim, found.signature, found.amz_time, found.payload_hash, credentials, "presigned")

    def _proved(
        self,
        facts: RequestFacts,
        claim: Claim,
        signature: str,
        amz_time: str,
        payload_hash: str,
        credentials: CredentialLookup,
        method: Literal["header", "presigned"],
    ) -> Authentication:
        credential = credentials.find_access_key(claim.access_key_id)
        name = claim.access_key_id, claim.scope.date, claim.scope.region
        remembered = self._keys.get(name)
        # A key is good for the very credential it was derived from: a rotated secret makes a new one.
        known = remembered is not None and remembered[0] is credential
        if known and remembered is not None:
            key = remembered[1]
        else:
            key = derive_signing_key(credential.secret_access_key if credential else _DUMMY_SECRET, claim.scope)
        verdict = verify(facts, claim, signature, key, amz_time, payload_hash, presigned=method == "presigned")
        if credential is None:
            raise _unknown_key(claim.access_key_id)
        if not verdict.matches:
            raise signature_mismatch(claim.access_key_id, signature, verdict)
        if not known and len(claim.scope.region) <= _MAX_REGION_LENGTH:
            _remember(self._keys, name, (credential, key))
        chunks = ChunkSignatures(key, amz_time, claim.scope.text, signature) if _is_signed_stream(payload_hash) else None
        return Authentication(credential, method, chunks)


def _by_token(facts: RequestFacts, credentials: CredentialLookup) -> Authentication:
    token = facts.headers[TOKEN_HEADER]
    credential = credentials.find_token(token) if token else None
    if credential is None:
        raise S3Error("AccessDenied")
    return Authentication(credential, "token", UncheckedSignatures() if _is_signed_stream(payload_mode(facts.headers)) else None)


def _by_query_v2(facts: RequestFacts, credentials: CredentialLookup, now_ms: int, virtual_host_domain: str) -> Authentication:
    parameters = parse_query(facts.raw_query)
    _refuse_session_token("x-amz-security-token" in parameters)
    claim = parse_presigned_v2(facts, parameters, now_ms, virtual_host_domain)
    credential = credentials.find_access_key(claim.access_key_id)
    matches = matches_v2(claim, credential.secret_access_key if credential else _DUMMY_SECRET)
    if credential is None:
        raise _unknown_key(claim.access_key_id)
    if not matches:
        raise S3Error(
            "SignatureDoesNotMatch",
            extra={
                "AWSAccessKeyId": claim.access_key_id,
                "StringToSign": claim.string_to_sign.decode("utf-8", "replace"),
                "SignatureProvided": claim.signature,
                "StringToSignBytes": claim.string_to_sign.hex(" "),
            },
        )
    return Authentication(credential, "presigned-v2")


def _is_signed_stream(payload_hash: str) -> bool:
    return payload_hash.startswith("STREAMING-AWS4-HMAC-")


def _check_mechanism(authorization: str) -> None:
    scheme = authorization.partition(" ")[0]
    if scheme == ALGORITHM:
        return
    if scheme == "AWS" or scheme.startswith("AWS4-"):
        raise _unsupported_mechanism()
    raise invalid_argument("Authorization", authorization, "Unsupported Authorization Type")


def _unsupported_mechanism() -> S3Error:
    return S3Error("InvalidRequest", f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}.")


def _refuse_session_token(sent: bool) -> None:
    """Credentials here are never temporary, so no session token is a right one."""
    if sent:
        raise S3Error("InvalidToken")


def _unknown_key(access_key_id: str) -> S3Error:
    return S3Error("InvalidAccessKeyId", extra={"AWSAccessKeyId": access_key_id})


def _remember(memory: dict[Key, Value], key: Key, value: Value) -> None:
    if len(memory) >= _MAX_REMEMBERED:
        del memory[next(iter(memory))]
    memory[key] = value
