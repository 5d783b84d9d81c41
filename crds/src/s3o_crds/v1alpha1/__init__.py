"""The three kinds that users write, as of v1alpha1."""

from s3o_crds.v1alpha1.backend import StorageBackend
from s3o_crds.v1alpha1.bucket import VirtualBucket
from s3o_crds.v1alpha1.orchestrator import S3Orchestrator

__all__ = ["S3Orchestrator", "StorageBackend", "VirtualBucket"]
