"""The Kubernetes operator of s3-orchestrator: CR event → observe → plan → apply → status.

*Key*: namespace and name of an S3Orchestrator, the unit of work; whatever happens to a backend, a bucket, a Secret or a child is work for
the orchestrator that it belongs to. *Child*: an object that we make. *Foreign*: one that stands under a child's name and is not ours.

Handlers only enqueue keys. A worker observes everything about one key, plans (a pure function), and applies the plan, status last.
"""
