"""Proxies are replaced one by one under load, as a Deployment does it: no request is lost, and no transfer in flight is dropped."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from tests.support.fleet import Fleet, Launch
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy
from tests.support.service import Service
from tests.support.trees import random_bytes

from s3o_crds.layout import split, static_part
from s3o_proxy.config.loader import load

MIB = 1024**2
PODS = 2


@pytest.fixture(scope="module")
def fleet(launch: Launch, postgres: PostgresServer) -> Fleet:
    """Its own proxy is in nobody's way: it stands for the worker."""
    uri = postgres.uri(postgres.create_database())
    return launch(database_uri=uri, server={"shutdownDelay": "2s"})


@pytest.fixture(scope="module")
def mounted(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pods mount."""
    directory = tmp_path_factory.mktemp("mounted")
    snapshot = load(fleet.config, os.environ).snapshot
    files = static_part(snapshot.config, snapshot.secrets)
    for part in split(snapshot.config, snapshot.secrets):
        files |= part
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))
    return directory


class Pods:
    def __init__(self, mounted: Path, directory: Path, service: Service) -> None:
        self._mounted, self._directory, self._service = mounted, directory, service
        self.running: list[Proxy] = []
        self.leaving: list[Proxy] = []

    def add(self) -> None:
        number = len(self.running) + len(self.leaving) + 10
        pod = Proxy(number, self._directory, self._mounted, scheme="http", program=("serve", "--role", "api"))
        self.running.append(pod)
        pod.start()
        self._service.add(pod)

    def replace_all(self) -> None:
        """One more, and then one less: maxSurge 1, maxUnavailable 0."""
        for old in list(self.running):
            self.add()
            old.terminate()
            self.running.remove(old)
            self.leaving.append(old)

    def end(self) -> None:
        for pod in (*self.running, *self.leaving):
            pod.end()
            print(f"{pod.log}:\n{pod.tail()}")  # shown with a test that failed


@contextmanager
def rolling(mounted: Path, directory: Path) -> Iterator[tuple[Service, Pods]]:
    with Service() as service:
        pods = Pods(mounted, directory, service)
        try:
            for _ in range(PODS):
                pods.add()
            yield service, pods
        finally:
            pods.end()


class Load:
    """Clients that write and read what they wrote, with the retries that boto3 has by default."""

    def __init__(self, fleet: Fleet, url: str, clients: int) -> None:
        self._fleet, self._url = fleet, url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]
        self.failures: list[str] = []
        self.done = 0

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        s3, chance = self._fleet.client(endpoint=self._url), random.Random(number)
        written: dict[str, bytes] = {}
        while not self._stop.is_set():
            key = f"load/{number}/{chance.randrange(20)}"
            try:
                data = chance.randbytes(chance.randrange(1, 200_000))
                s3.put_object(Bucket=self._fleet.bucket, Key=key, Body=data)
                written[key] = hashlib.sha256(data).digest()
                read = chance.choice(list(written))
                if hashlib.sha256(s3.get_object(Bucket=self._fleet.bucket, Key=read)["Body"].read()).digest() != written[read]:
                    self.failures.append(f"{read}: other bytes")
            except Exception as error:  # noqa: BLE001  whatever a client is told that its retries did not help with
                self.failures.append(f"{key}: {error!r}")
            self.done += 1


def test_no_request_is_lost_and_no_transfer_is_dropped(fleet: Fleet, mounted: Path, tmp_path: Path) -> None:
    large = random_bytes(24 * MIB)
    with rolling(mounted, tmp_path) as (service, pods):
        s3 = fleet.client(endpoint=service.url)
        s3.put_object(Bucket=fleet.bucket, Key="large", Body=large)
        signing = fleet.client(endpoint=service.url, config=Config(signature_version="s3v4"))
        with Load(fleet, service.url, clients=4) as load, open_put(signing, fleet.bucket, "slow", len(large)) as upload:
            download = s3.get_object(Bucket=fleet.bucket, Key="large")["Body"]
            rolled, got = threading.Event(), bytearray()
            transfers = [
                threading.Thread(target=in_pieces, args=(len(large), rolled, lambda start, end: upload.send(large[start:end]))),
                threading.Thread(target=in_pieces, args=(len(large), rolled, lambda start, end: got.extend(download.read(end - start)))),
            ]
            for transfer in transfers:
                transfer.start()
            began = load.done
            pods.replace_all()
            rolled.set()
            for transfer in transfers:
                transfer.join()
            with upload.getresponse() as answer:
                assert (answer.status, answer.read()) == (200, b"")
            deadline = time.monotonic() + 30
            while load.done < began + 100 and time.monotonic() < deadline:
                time.sleep(0.1)  # the clients go on by themselves
            assert load.done >= began + 100
        assert load.failures == []
        assert bytes(got) == large
        assert [pod.wait() for pod in pods.leaving] == [0] * PODS
        assert s3.get_object(Bucket=fleet.bucket, Key="slow")["Body"].read() == large
    assert fleet.audit() == []


def in_pieces(size: int, rolled: threading.Event, move: Callable[[int, int], object]) -> None:
    """Slowly, from before the first pod is replaced until all have been; then as fast as it goes."""
    step = 64 * 1024
    for start in range(0, size, step):
        if start < size // 2:
            rolled.wait(0.3)
        else:
            rolled.wait(120)
        move(start, min(size, start + step))


@contextmanager
def open_put(s3: Any, bucket: str, key: str, length: int) -> Iterator[http.client.HTTPConnection]:
    """A request whose head is sent; its body is up to the caller."""
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key}))
    assert url.hostname is not None
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    try:
        yield connection
    finally:
        connection.close()
