"""Operations as rows, and rows as operations. Plan and progress are kept as JSON texts."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from s3o_proxy.domain.operation import Flow, Operation, Plan, Progress
from s3o_proxy.metadata.records import Values
from s3o_proxy.metadata.story import Row


def operation(row: Row) -> Operation:
    return Operation(
        operation_id=row["operation_id"],
        kind=row["kind"],
        subject=row["subject"],
        token=row["token"],
        created_ms=row["created_ms"],
        backend=row["backend"],
        bucket=row["bucket"],
        state=row["state"],
        reason=row["reason"],
        message=row["message"],
        plan=_plan(row["plan"]),
        progress=Progress(**orjson.loads(row["progress"])),
        started_ms=row["started_ms"],
        finished_ms=row["finished_ms"],
        updated_ms=row["updated_ms"],
    )


def operation_values(operation: Operation) -> Values:
    return {
        "kind": operation.kind,
        "subject": operation.subject,
        "token": operation.token,
        "backend": operation.backend,
        "bucket": operation.bucket,
        "created_ms": operation.created_ms,
        **recorded_values(operation),
    }


def recorded_values(operation: Operation) -> Values:
    """What changes while it is at work."""
    return {
        "operation_id": operation.operation_id,
        "state": operation.state,
        "reason": operation.reason,
        "message": operation.message,
        "plan": "" if operation.plan is None else orjson.dumps(asdict(operation.plan)).decode(),
        "progress": orjson.dumps(asdict(operation.progress)).decode(),
        "started_ms": operation.started_ms,
        "finished_ms": operation.finished_ms,
        "updated_ms": operation.updated_ms,
    }


def _plan(text: str) -> Plan | None:
    if not text:
        return None
    values = orjson.loads(text)
    return Plan(**values | {"backends": {name: Flow(**flow) for name, flow in values["backends"].items()}})
