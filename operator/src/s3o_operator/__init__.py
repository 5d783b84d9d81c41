"""The Kubernetes operator of s3-orchestrator: CR event → observe → plan → apply → status.

It will turn custom resources into a fleet of proxies and into the `FleetConfig` that these serve (`s3o_crds.compile`). This release runs
on one machine with `s3o run`, and holds the operator's place: a member of its own, which may import the contract and never the proxy.
"""
