"""Fixed identifiers in documents: the namespace of S3, and the one owner of everything."""

from __future__ import annotations

import hashlib

XML_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

OWNER_NAME = "s3-orchestrator"
OWNER_ID = hashlib.sha256(OWNER_NAME.encode()).hexdigest()
"""A canonical user id in S3's form. Buckets here belong to VirtualBuckets, not to accounts: every object has this owner."""
