"""Pages name only what exists: files, modules, fields, commands and targets."""

from __future__ import annotations

import importlib
import importlib.util
import re

import pytest
from tests.support.contract import SPEC_PATHS
from tests.support.repository import PROXY, ROOT, fenced_blocks, inline_code, pages, read, tracked_files

from s3o_proxy.__main__ import make_parser

TOP_LEVEL = {name.partition("/")[0] for name in tracked_files()}
LOGGERS = {"s3o_proxy.access"}
"""Named like modules, and documented as names of log lines."""


@pytest.mark.parametrize("page", pages())
def test_every_path_of_a_page_exists(page: str) -> None:
    words = {word.rstrip("/") for word in inline_code(page) if re.fullmatch(r"[\w.\-/]+", word)}
    paths = {word for word in words if word.partition("/")[0] in TOP_LEVEL and ("/" in word or "." in word)}
    missing = sorted(path for path in paths if not (ROOT / path).exists())
    assert not missing, f"{page} names {missing}"


@pytest.mark.parametrize("page", pages())
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    targets = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", read(page)) if "://" not in link}
    missing = sorted(target for target in targets if target and not (ROOT / page).parent.joinpath(target).exists())
    assert not missing, f"{page} links to {missing}"


@pytest.mark.parametrize("page", pages())
def test_every_module_of_a_page_can_be_imported(page: str) -> None:
    names = {word for word in inline_code(page) if re.fullmatch(r"s3o_(crds|operator|proxy)(\.\w+)*", word)} - LOGGERS
    missing = sorted(name for name in names if not resolves(name))
    assert not missing, f"{page} names {missing}"


def resolves(name: str) -> bool:
    """Whether `name` is a module, or something in one."""
    module, _, attribute = name.rpartition(".")
    if importlib.util.find_spec(name) is not None:
        return True
    return bool(module) and hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("page", pages())
def test_every_field_of_a_page_is_in_the_contract(page: str) -> None:
    fields = {word.removeprefix("**") for word in inline_code(page) if re.fullmatch(r"spec(\.\w+(\[\])?)+", word)}
    missing = sorted(fields - SPEC_PATHS)
    assert not missing, f"{page} names {missing}"


def everything_typed(page: str) -> str:
    return "\n".join([*inline_code(page), *fenced_blocks(page)])


@pytest.mark.parametrize("page", pages())
def test_every_make_target_of_a_page_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", read("Makefile"), re.MULTILINE))
    named = {word for line in re.findall(r"(?:^|\s)make((?: [a-z][a-z0-9-]+)+)", everything_typed(page)) for word in line.split()}
    assert named <= targets, f"{page} names {sorted(named - targets)}"


@pytest.mark.parametrize("page", pages())
def test_every_command_of_a_page_exists(page: str) -> None:
    named = set(re.findall(r"(?:^|\s|bin/)s3o ([a-z]+)\b", everything_typed(page)))
    assert named <= commands().keys(), f"{page} names {sorted(named - commands().keys())}"


def test_every_command_and_option_of_the_program_is_described() -> None:
    described = inline_code("docs/reference/settings.md")
    for command, options in commands().items():
        assert any(word.split()[:2] == ["s3o", command] for word in described), f"describe s3o {command} in docs/reference/settings.md"
        assert options <= described, f"describe {options - described} of s3o {command} in docs/reference/settings.md"


def commands() -> dict[str, set[str]]:
    """Every command of `s3o` with its own options; what one of its processes tells another is nobody's."""
    (choice,) = [action for action in make_parser()._actions if action.choices]
    assert isinstance(choice.choices, dict)
    return {
        name: {option for action in parser._actions for option in action.option_strings if action.dest not in {"help", "member"}}
        for name, parser in choice.choices.items()
    }


def test_every_target_says_what_it_does() -> None:
    silent = re.findall(r"^\.PHONY: ([a-z-]+)$\n(?!\1:.*## )", read("Makefile"), re.MULTILINE)
    assert not silent, f"add a ## line to {silent}: make help shows it"


def test_the_files_of_the_architecture_s_stories_exist() -> None:
    for block in fenced_blocks("ARCHITECTURE.md")[1:]:
        for path in re.findall(r"\b[a-z_]+/[a-z_0-9]+\.py\b", block):
            assert (PROXY / path).exists(), f"ARCHITECTURE.md names {path}"
