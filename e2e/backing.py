"""What `make cluster` has brought up beside us, for tests to take their part: PostgreSQL and three S3 servers, in the namespace backing."""

from __future__ import annotations

from e2e.kubectl import Kubectl

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "s3o", "s3osecret"
SERVERS = 3
_BACKING = Kubectl("backing")


def new_database(name: str) -> str:
    """Its URI. `name` is new."""
    _BACKING.run("exec", "postgres-0", "--", "createdb", "--host=/tmp", "--username=s3o", name)
    return f"postgresql://s3o:s3opassword@postgres.backing.svc:5432/{name}"


def new_bucket(server: int, name: str) -> str:
    """The endpoint of the server, on which the bucket is then. `server`: 0 to 2."""
    _BACKING.run("exec", f"seaweedfs-{server}", "--", "aws", "s3api", "create-bucket", "--bucket", name)
    return f"http://seaweedfs-{server}.seaweedfs.backing.svc:8333"
