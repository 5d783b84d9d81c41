"""Where a backend's bucket lies: which server is connected to, what is said to be its host, and what stands before every key."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """`authority` is the value of the Host header. `prefix` is a path that ends with a slash, percent-encoded."""

    host: str
    port: int
    tls: bool
    authority: str
    prefix: str

    @classmethod
    def of(cls, url: str, key: str) -> Address:
        """`url` is that of the object `key`, which needs no encoding: botocore knows whether a bucket can be a host's name."""
        split = urlsplit(url)
        if split.hostname is None or not split.path.endswith("/" + key):
            raise ValueError(f"{url} is no address of a bucket")
        default_port = _DEFAULT_PORTS[split.scheme]
        port = split.port or default_port
        name = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
        authority = name if port == default_port else f"{name}:{port}"
        return cls(split.hostname, port, split.scheme == "https", authority, split.path.removesuffix(key))

    def path(self, key: str) -> str:
        return self.prefix + quote(key)


def is_behind_a_proxy(endpoint: str) -> bool:
    """Whether the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) sends requests to `endpoint` through another server."""
    split = urlsplit(endpoint)
    return split.scheme in getproxies() and not proxy_bypass(split.netloc)
