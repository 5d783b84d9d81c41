"""The S3 client of one backend: aiobotocore, with everything switched off that a third-party endpoint could refuse, or that sends twice."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.handlers import convert_body_to_file_like_object

from s3o_crds.compiled import BackendConfig
from s3o_proxy.backends.transport import USER_AGENT, HTTPSession

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_MAX_CONNECT_TIMEOUT_S = 10.0


def new_session() -> AioSession:
    """Keeps what botocore read from its own files, for one client after another. Deaf to the AWS files and profiles of whoever runs us."""
    nowhere = (None, None, os.devnull, None)
    return AioSession(session_vars={"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere})


async def open_client(
    stack: AsyncExitStack, session: AioSession, config: BackendConfig, secrets: Mapping[str, str], *, sign_payloads: bool
) -> S3Client:
    """Open a client whose connections are closed with `stack`. Raises ValueError for a secret that is missing or no certificate."""
    tls = ssl_context(config, secrets)
    client = await stack.enter_async_context(
        session.create_client(
            "s3",
            endpoint_url=config.endpoint,
            region_name=config.region,
            aws_access_key_id=secret_of(config, secrets, config.access_key_id),
            aws_secret_access_key=secret_of(config, secrets, config.secret_access_key),
            config=AioConfig(
                signature_version="s3v4",
                http_session_cls=cast("Any", HTTPSession),  # used by its shape: made, entered, send(), closed
                connector_args={} if tls is None else {"ssl_context": tls},
                connect_timeout=connect_timeout_s(config),
                retries={"mode": "standard", "total_max_attempts": 1},
                ignore_configured_endpoint_urls=True,
                use_fips_endpoint=False,
                use_dualstack_endpoint=False,
                defaults_mode="legacy",
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                parameter_validation=False,
                user_agent=USER_AGENT,
                warm_up_loader_caches=True,
                s3={
                    "addressing_style": "path" if config.force_path_style else "virtual",
                    "payload_signing_enabled": sign_payloads,
                },
            ),
        )
    )
    # botocore would make a file of a body, and send `Expect: 100-continue` for every file: servers that answer it late cost a second each.
    client.meta.events.unregister("before-parameter-build.s3.PutObject", convert_body_to_file_like_object)
    client.meta.events.unregister("before-parameter-build.s3.UploadPart", convert_body_to_file_like_object)
    client.meta.events.register("before-call.s3", _stay_in_region)
    client.meta.events.register("before-call.s3.DeleteObjects", _send_content_md5)
    return client


def connect_timeout_s(config: BackendConfig) -> float:
    """Shorter than what `guarded` allows a whole answer, so that "never connected" is told apart from "never answered"."""
    return min(_MAX_CONNECT_TIMEOUT_S, config.request_timeout_ms / 2000)


def secret_of(config: BackendConfig, secrets: Mapping[str, str], name: str) -> str:
    """Raises ValueError where it is missing."""
    if name not in secrets:
        raise ValueError(f"backend {config.name}: secret {name} has no value")
    return secrets[name]


def ssl_context(config: BackendConfig, secrets: Mapping[str, str]) -> ssl.SSLContext | None:
    """Trusts `config.ca` alone where it is given, else what the system trusts. None where nothing needs it. Raises ValueError."""
    if not config.ca:
        # To read what the system trusts takes a thirtieth of a second, three times for each backend.
        return None if config.endpoint.startswith("http:") else ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=secret_of(config, secrets, config.ca))
    except ssl.SSLError as error:
        raise ValueError(f"backend {config.name}: secret {config.ca} holds no PEM certificate: {error.reason}") from error


def _stay_in_region(context: dict[str, Any], **_: object) -> None:
    # botocore would send a request again to the region that a redirect names; a body cannot be sent twice, and the region is configured.
    context.setdefault("s3_redirect", {})["redirected"] = True


def _send_content_md5(params: dict[str, Any], **_: object) -> None:
    # Every S3 server knows Content-MD5, which DeleteObjects requires; several refuse the CRC32 that botocore would send in its place.
    params["context"].get("checksum", {}).pop("request_algorithm", None)
    params["headers"]["Content-MD5"] = base64.b64encode(hashlib.md5(params["body"], usedforsecurity=False).digest()).decode()
