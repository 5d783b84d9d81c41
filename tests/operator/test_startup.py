"""What an operator is told by its environment, and what it says when that is not enough."""

from __future__ import annotations

import kopf
import pytest

from s3o_operator.handlers.events import make_registry
from s3o_operator.kube.kinds import watched
from s3o_operator.observe.cache import Cache
from s3o_operator.observe.intake import Intake
from s3o_operator.queue import WorkQueue
from s3o_operator.startup import CannotStart, kopf_settings, read_settings


def test_settings_out_of_the_environment() -> None:
    given = {"S3O_PROXY_IMAGE": "proxy:1", "S3O_NAMESPACE": "system", "S3O_WATCH_NAMESPACE": "team", "S3O_LISTEN": "127.0.0.1:1"}
    settings = read_settings(given)
    assert (settings.image, settings.namespace, settings.watched_namespace) == ("proxy:1", "system", "team")
    assert (settings.listen, settings.resync_s) == (("127.0.0.1", 1), 300.0)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "S3O_PROXY_IMAGE"),
        ({"S3O_PROXY_IMAGE": "p", "S3O_LISTEN": "nowhere"}, "S3O_LISTEN"),
        ({"S3O_PROXY_IMAGE": "p", "S3O_RESYNC_SECONDS": "0"}, "S3O_RESYNC_SECONDS"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(CannotStart, match=named):
        read_settings(given)


def test_kopf_keeps_to_a_prefix_that_is_not_that_of_triggers() -> None:
    settings = kopf_settings()
    storage = settings.persistence.progress_storage
    assert isinstance(storage, kopf.AnnotationsProgressStorage)
    assert storage.prefix == "kopf.s3orchestrator.io"
    assert settings.scanning.disabled
    assert not settings.posting.enabled


def test_kopf_is_told_of_the_traps_that_it_sets() -> None:
    """A watch that is silent for ever, a request that holds up the others, all objects in one answer, peers that pause each other."""
    settings = kopf_settings()
    watching, networking = settings.watching, settings.networking
    assert (watching.server_timeout, watching.client_timeout, watching.connect_timeout) == (300, 330, 10)
    assert networking.request_timeout == 30
    assert watching.chunk_size == 500
    assert settings.peering.standalone
    assert settings.queueing.worker_limit is None


def test_events_are_all_that_kopf_is_asked_for() -> None:
    """Other handlers keep their state in annotations, the whole of a Secret among it; daemons, timers and deletions put finalizers on."""
    registry = make_registry(Intake(Cache(), WorkQueue(lambda: 0.0)), "")
    assert {handler.id for handler in registry._watching._handlers} == {f"{kind.plural}-seen" for kind in watched("")}
    for other in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert not other._handlers
