"""The children of served VirtualBuckets, each in its own namespace: a ConfigMap, and a Secret for each generated credential."""

from __future__ import annotations

from collections.abc import Iterator

from s3o_crds.compile import Compilation
from s3o_crds.v1alpha1 import S3Orchestrator
from s3o_operator.plan.credentials import Credentials
from s3o_operator.plan.manifests.application import authority_of, build_application_config, build_application_secret
from s3o_operator.plan.observed import Object, Observed, Ref
from s3o_operator.plan.reading import Reading
from s3o_operator.plan.rotation import handed_out
from s3o_operator.plan.sync import Sync


def children_of_buckets(
    observed: Observed, reading: Reading, orchestrator: S3Orchestrator, compilation: Compilation, credentials: Credentials
) -> Iterator[Object]:
    rejected = {(one.kind, one.namespace, one.name) for one in compilation.rejections}
    key, ca, sync = observed.key, authority_of(orchestrator, reading.secrets), Sync(observed, compilation)
    for bucket in sorted(reading.buckets, key=lambda one: (one.namespace, one.name)):
        here = Ref(bucket.kind, bucket.namespace, bucket.name)
        if here in rejected:
            continue
        owner = reading.raw[here]
        for one in credentials.generated[here]:
            behind = bool(one.entry and one.entry.retired) and sync.is_behind(owner, bucket)
            if pair := handed_out(one, observed.live.get(one.secret), behind=behind, now=observed.now):
                yield build_application_secret(key, owner, bucket, one, pair, orchestrator, ca)
        yield build_application_config(key, owner, bucket, orchestrator, ca)
