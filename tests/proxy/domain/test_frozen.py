"""What `@frozen` makes of a class."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from s3o_proxy.domain.frozen import frozen


@frozen
class Place:
    backend: str
    size_bytes: int = 0
    labels: tuple[str, ...] = field(default=())


def test_it_is_compared_and_hashed_by_its_fields() -> None:
    assert Place("b2", 5) == Place("b2", 5)
    assert {Place("b2", 5), Place("b2", 5), Place("b2", 6)} == {Place("b2", 5), Place("b2", 6)}


def test_a_changed_one_is_another() -> None:
    place = Place("b2", 5)

    assert replace(place, size_bytes=6) == Place("b2", 6)
    assert place.size_bytes == 5


def test_it_has_the_named_fields_and_no_others() -> None:
    with pytest.raises(AttributeError):
        Place("b2").colour = "red"  # type: ignore[attr-defined]  # that there is no such field is what is shown


def test_the_type_checker_refuses_an_assignment() -> None:
    place = Place("b2")
    # mypy complains of an ignored error that is none: so `make lint` fails where this assignment is allowed.
    place.size_bytes = 7  # type: ignore[misc]  # frozen
