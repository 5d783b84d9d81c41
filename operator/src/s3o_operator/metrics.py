"""What the operator counts, for `/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter("s3o_operator_reconciles", "Reconciliations, by how they ended", ["outcome"], registry=self.registry)
        self.reconcile_seconds = Histogram("s3o_operator_reconcile_seconds", "Time of one reconciliation", registry=self.registry)
        self.writes = Counter("s3o_operator_writes", "Writes to the API server, by action", ["action"], registry=self.registry)
        self.fleet_calls = Counter(
            "s3o_operator_fleet_calls", "Calls to pods, by how they ended", ["call", "outcome"], registry=self.registry
        )
        self.fleet_call_seconds = Histogram("s3o_operator_fleet_call_seconds", "Time of one call to a pod", registry=self.registry)
        self.events = Counter("s3o_operator_events", "Events, by what became of them", ["outcome"], registry=self.registry)
        self.queue_keys = Gauge("s3o_operator_queue_keys", "Keys that wait", registry=self.registry)
        self.leader = Gauge("s3o_operator_leader", "1 on the replica that leads", registry=self.registry)
        self.last_resync = Gauge("s3o_operator_last_resync_timestamp_seconds", "When everything was last listed", registry=self.registry)
