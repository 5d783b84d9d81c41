"""The token that pods are given: minted once, replaced when it cannot be used, never taken from somebody else's Secret."""

from __future__ import annotations

import base64

import pytest
from tests.operator.plan.test_planner import KEY, TOKEN, admin_token, observed, registry, served
from tests.support import resources

from s3o_operator.plan.actions import Ensure, MintToken, render
from s3o_operator.plan.manifests.admin import admin_token_in, build_admin_secret
from s3o_operator.plan.observed import Object, Observed, Ref
from s3o_operator.plan.planner import plan

ADMIN = Ref("Secret", "default", "main-admin")


def with_token(text: str) -> Object:
    return admin_token() | {"data": {"token": base64.b64encode(text.encode()).decode()}}


def template_of(seen: Observed) -> Object:
    (deployment,) = [
        action.manifest for action in plan(seen).actions if isinstance(action, Ensure) and action.manifest["kind"] == "Deployment"
    ]
    template: Object = deployment["spec"]["template"]
    return template


def test_a_missing_token_is_minted_before_anything_is_built() -> None:
    seen = observed(registry())
    without = {ref: one for ref, one in seen.live.items() if ref != ADMIN}
    planned = plan(Observed(**vars(seen) | {"live": without}))
    assert [type(action) for action in planned.actions] == [MintToken]
    assert render(planned) == "mint the token in Secret default/main-admin: missing\n"


@pytest.mark.parametrize("text", ["", "short", "with a space in it", "sixteen-or-more\n", "sechzehn-Zeichen-größer"])
def test_a_token_that_no_header_can_carry_is_replaced(text: str) -> None:
    assert render(plan(observed(registry(), with_token(text)))) == "mint the token in Secret default/main-admin: damaged\n"


def test_what_is_no_base64_is_no_token() -> None:
    assert not admin_token_in(admin_token() | {"data": {"token": "%%%"}})
    assert not admin_token_in(admin_token() | {"data": None})
    assert admin_token_in(admin_token()) == TOKEN


def test_pods_are_given_the_token_and_roll_when_it_changes() -> None:
    first = template_of(observed(registry()))
    (container,) = first["spec"]["containers"]
    assert {"name": "S3O_ADMIN_TOKEN", "valueFrom": {"secretKeyRef": {"name": "main-admin", "key": "token"}}} in container["env"]
    assert template_of(observed(registry(), with_token("another-token-of-somebody")))["metadata"] != first["metadata"]


def test_a_secret_of_somebody_else_is_a_conflict_and_no_pod_gets_its_token() -> None:
    foreign = served(resources.secret("main-admin")) | {"data": {"token": base64.b64encode(b"token-of-somebody-else").decode()}}
    planned = plan(observed(registry(), foreign))
    made = [action.manifest["kind"] for action in planned.actions if isinstance(action, Ensure)]
    assert "Deployment" not in made
    assert not [action for action in planned.actions if isinstance(action, MintToken)]
    assert "NameConflict: Secret default/main-admin: exists and is not ours" in render(planned)


def test_the_owner_is_the_orchestrator() -> None:
    owner = served(resources.orchestrator())
    (reference,) = build_admin_secret(KEY, owner, TOKEN)["metadata"]["ownerReferences"]
    assert reference["uid"] == owner["metadata"]["uid"]
