"""What each S3 provider needs and promises: pure data, resolved into every backend by `compile`.

A promise stands here only where the provider documents it for PutObject *and* UploadPart, whatever the bucket's settings; a
storage operator who knows more of the own bucket says so by `etagIsMD5`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Provider = Literal["Generic", "AWS", "MinIO", "OCI", "B2", "R2", "Wasabi", "GCS"]


@dataclass(frozen=True)
class Preset:
    """`region` is None where the signature needs the true one, so that it must be given."""

    region: str | None
    force_path_style: bool = True
    unsigned_payload: bool = True
    etag_is_md5: bool = False
    verifies_content_md5: bool = False


PRESETS: dict[Provider, Preset] = {
    "Generic": Preset(region="us-east-1"),
    # The ETag is the MD5 unless the bucket encrypts with KMS by default (or is a directory bucket), which nobody tells us.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    "AWS": Preset(region=None, force_path_style=False, verifies_content_md5=True),
    "MinIO": Preset(region="us-east-1", etag_is_md5=True, verifies_content_md5=True),
    # The ETag of the S3 compatibility API is Oracle's own, not the MD5.
    "OCI": Preset(region=None),
    "B2": Preset(region=None),
    # The ETag of a part is opaque. https://developers.cloudflare.com/r2/objects/multipart-objects/#etags
    "R2": Preset(region="auto"),
    "Wasabi": Preset(region=None),
    # The ETag is the MD5 only of objects in one piece without a customer's key. https://cloud.google.com/storage/docs/hashes-etags
    "GCS": Preset(region="auto", verifies_content_md5=True),
}

NEEDS_REGION = tuple(name for name in get_args(Provider) if PRESETS[name].region is None)
