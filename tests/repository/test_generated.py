"""What is generated from the models is what the models say today."""

from __future__ import annotations

from tests.support.repository import ROOT

from s3o_crds.crdgen.__main__ import differences


def test_generated_files_are_current() -> None:
    assert "".join(differences(ROOT)) == "", "run `make generate`"
