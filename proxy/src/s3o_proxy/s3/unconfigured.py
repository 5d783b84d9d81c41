"""What S3 answers for a bucket on which nothing was configured: a document that says so, or its 404.

Clients ask these at start (versioning, location), when they show a bucket (acl, policy, cors) and before they copy (tagging); a refusal
instead of the honest answer ends several of them.
"""

from __future__ import annotations

from s3o_proxy.s3.errors import S3Error
from s3o_proxy.s3.identifiers import OWNER_ID, OWNER_NAME, XML_NAMESPACE

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_PRIVATE_ACL = (
    f'<AccessControlPolicy xmlns="{XML_NAMESPACE}"><Owner><ID>{OWNER_ID}</ID><DisplayName>{OWNER_NAME}</DisplayName></Owner>'
    '<AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
    f"<ID>{OWNER_ID}</ID><DisplayName>{OWNER_NAME}</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>"
    "</AccessControlList></AccessControlPolicy>"
)
_NO_OBJECT_LOCK = ("InvalidRequest", "Bucket is missing Object Lock Configuration")

DOCUMENTS: dict[str, str] = {
    "accelerate": f'<AccelerateConfiguration xmlns="{XML_NAMESPACE}"/>',
    "acl": _PRIVATE_ACL,
    "logging": f'<BucketLoggingStatus xmlns="{XML_NAMESPACE}"/>',
    "notification": f'<NotificationConfiguration xmlns="{XML_NAMESPACE}"/>',
    "object-acl": _PRIVATE_ACL,
    "object-tagging": f'<Tagging xmlns="{XML_NAMESPACE}"><TagSet/></Tagging>',
    "requestPayment": f'<RequestPaymentConfiguration xmlns="{XML_NAMESPACE}"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>',
    "versioning": f'<VersioningConfiguration xmlns="{XML_NAMESPACE}"/>',
}

REFUSALS: dict[str, tuple[str, str]] = {
    "cors": ("NoSuchCORSConfiguration", ""),
    "encryption": ("ServerSideEncryptionConfigurationNotFoundError", ""),
    "lifecycle": ("NoSuchLifecycleConfiguration", ""),
    "object-legal-hold": _NO_OBJECT_LOCK,
    "object-lock": ("ObjectLockConfigurationNotFoundError", ""),
    "object-retention": _NO_OBJECT_LOCK,
    "ownershipControls": ("OwnershipControlsNotFoundError", ""),
    "policy": ("NoSuchBucketPolicy", ""),
    "policyStatus": ("NoSuchBucketPolicy", ""),
    "publicAccessBlock": ("NoSuchPublicAccessBlockConfiguration", ""),
    "replication": ("ReplicationConfigurationNotFoundError", ""),
    "tagging": ("NoSuchTagSet", ""),
    "website": ("NoSuchWebsiteConfiguration", ""),
}


def answer(subresource: str) -> bytes:
    """The document for `GetUnconfigured.subresource`. Raises S3Error where S3's own answer is one."""
    if subresource in REFUSALS:
        code, message = REFUSALS[subresource]
        raise S3Error(code, message)
    return (_HEAD + DOCUMENTS[subresource]).encode()
