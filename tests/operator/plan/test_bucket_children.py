"""What applications are handed while proxies learn of a new key: one that a proxy does not know yet is refused, so it waits."""

from __future__ import annotations

from tests.support import resources
from tests.support.observations import NOW, decoded, ensured, observed, pod, served

from s3o_operator.plan.actions import Ensure
from s3o_operator.plan.contacts import Contact, Report
from s3o_operator.plan.planner import plan
from s3o_operator.plan.registry import CredentialRef, Entry, KeyPair

IN_AN_HOUR = "2026-11-21T11:00:00Z"
FIRST, SECOND = (KeyPair(f"S3O{name}", f"secret-{name}") for name in ("FIRST", "SECOND"))
DEFAULT = CredentialRef("default", "photos", "default", "SigV4")
ROTATED = Entry(FIRST).rotated(SECOND, "t1", NOW, IN_AN_HOUR)
BUCKET = served(resources.bucket(credentials=resources.REMOVED)) | {"status": {"observedGeneration": 1, "bucketName": "photos"}}


def handed(serving: int, now: str = NOW, *, ready: bool = True) -> str:
    """The access key id in the Secret, while one proxy of two is at the newest generation and the other at `serving`."""
    before = observed(BUCKET, entries={DEFAULT: Entry(FIRST)})
    secret, newest = ensured(before, "Secret", "photos"), 7
    orchestrator = served(resources.orchestrator()) | {"status": {"config": {"generation": newest - 1, "digest": "before"}}}
    pods = (pod("one", ready=ready), pod("two", ready=ready))
    contacts = {f"uid-of-{name}": Contact(Report(at, "")) for name, at in (("one", newest), ("two", serving))}
    seen = observed(
        BUCKET,
        entries={DEFAULT: ROTATED},
        live=[served(secret)],
        now=now,
        orchestrator=orchestrator,
        pods=pods,
        contacts=contacts,
    )
    planned = [one.manifest for one in plan(seen).actions if isinstance(one, Ensure) and one.manifest["metadata"]["name"] == "photos"]
    secrets = [one for one in planned if one["kind"] == "Secret"]
    return decoded(secrets[0] if secrets else secret)["AWS_ACCESS_KEY_ID"]


def test_an_application_keeps_the_old_key_while_a_proxy_does_not_know_the_new_one() -> None:
    assert handed(serving=6) == "S3OFIRST"
    assert handed(serving=7) == "S3OSECOND"


def test_it_has_the_new_key_after_half_of_the_grace_period_whoever_is_behind() -> None:
    assert handed(serving=6, now="2026-11-21T10:29:59Z") == "S3OFIRST"
    assert handed(serving=6, now="2026-11-21T10:30:00Z") == "S3OSECOND"


def test_it_waits_for_no_proxy_that_serves_nobody() -> None:
    assert handed(serving=6, ready=False) == "S3OSECOND"
