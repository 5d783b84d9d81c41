"""Every module is specified under tests/ of its member: in a file of its name at the same place, or in one that imports it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.repository import OPERATOR, PROXY, ROOT, package_modules

CRDS = ROOT / "crds" / "src" / "s3o_crds"

SPECIFIED_THROUGH = {
    "tests/crds/test_rules.py": {"crds": ["v1alpha1/access.py", "v1alpha1/backend.py", "v1alpha1/bucket.py", "v1alpha1/orchestrator.py"]},
    "tests/crds/test_pod_rules.py": {"crds": ["v1alpha1/exposure.py", "v1alpha1/pods.py", "v1alpha1/scheduling.py"]},
    "tests/crds/test_kinds.py": {
        "crds": ["v1alpha1/operations.py", "crdgen/__main__.py", "crdgen/crd.py", "crdgen/editor.py", "crdgen/reference.py"]
    },
    "tests/clients/test_boto3_objects.py": {"proxy": ["app.py", "processes/tuning.py"]},
    "tests/operator/test_fleet.py": {
        "operator": [
            *("resync.py", "apply/protection.py", "observe/cluster.py"),
        ]
    },
    "tests/operator/plan/test_lifecycle.py": {"operator": ["plan/fate_report.py", "plan/fates.py"]},
    "tests/operator/plan/test_planner.py": {
        "operator": [
            *("plan/reports.py", "plan/part_report.py", "plan/findings.py", "plan/manifests/application.py"),
            *("plan/manifests/deployment.py", "plan/manifests/disruption.py"),
        ]
    },
    "tests/operator/test_extras.py": {"operator": ["kube/rights.py", "observe/optional.py"]},
    "tests/proxy/auth/test_authenticate.py": {"proxy": ["auth/canonical.py", "auth/presigned_v2.py"]},
    "tests/proxy/http/test_endpoint.py": {"proxy": ["http/health.py", "http/site.py", "http/status.py"]},
    "tests/proxy/http/test_outgoing.py": {"proxy": ["telemetry/unsent.py"]},
    "tests/proxy/metadata/test_objects.py": {"proxy": ["metadata/records.py"]},
    "tests/proxy/operations/test_put_object.py": {"proxy": ["operations/dispatch.py", "operations/usage_view.py", "operations/write.py"]},
    "tests/proxy/operations/test_copy_object.py": {"proxy": ["operations/copied_body.py"]},
    "tests/proxy/s3/test_router.py": {
        "proxy": ["s3/bucket_requests.py", "s3/object_requests.py", "s3/query.py", "s3/subresources.py", "s3/target.py"]
    },
}
"""Modules that no test names, because they are reached through the one that it does name: test file → member → modules. Meant to shrink."""

ELSEWHERE = {f"{member}/{module}" for through in SPECIFIED_THROUGH.values() for member, modules in through.items() for module in modules}


def modules() -> dict[str, Path]:
    """Path within its member → folder of its tests."""
    found = {}
    for member, source in (("proxy", PROXY), ("crds", CRDS), ("operator", OPERATOR)):
        for path in package_modules(source):
            relative = path.relative_to(source)
            found[f"{member}/{relative}"] = ROOT / "tests" / member / relative.parent
    return found


def is_specified(name: str, folder: Path) -> bool:
    stem = Path(name).stem
    if (folder / f"test_{stem.strip('_')}.py").exists() or any(folder.glob(f"test_{stem}_*.py")):
        return True
    package = f"s3o_{Path(name).parent}".replace("/", ".")
    by_name = rf"from {package}\.{stem} import|import {package}\.{stem}$|from {package} import .*\b{stem}\b"
    imports = re.compile(rf"^\s*({by_name})", re.MULTILINE)
    # One that feeds a module anything it can be fed says nothing of what is right.
    tests = [path for path in (ROOT / "tests" / Path(name).parts[0]).rglob("*.py") if path.name != "test_fuzz.py"]
    return any(imports.search(path.read_text(encoding="utf-8")) for path in tests)


def test_every_module_is_specified_by_a_test_that_names_it() -> None:
    without = sorted(name for name, folder in modules().items() if not is_specified(name, folder) and name not in ELSEWHERE)
    assert not without, f"no test names {without}"


def test_the_exceptions_are_still_exceptions() -> None:
    present = modules()
    stale = sorted(name for name in ELSEWHERE if name not in present or is_specified(name, present[name]))
    assert not stale, f"take {stale} out of SPECIFIED_THROUGH"
    assert not [test for test in SPECIFIED_THROUGH if not (ROOT / test).exists()]
