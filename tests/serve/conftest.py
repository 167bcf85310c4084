"""One folder of runs and one server for all tests of this folder."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.serve.world import make_world


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> dict[str, object]:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    root: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", *, host: str | None = None, **headers: str) -> Answer:
        """Send exactly this path: no client tidies it up. Underscores in names of headers become hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


def start_server(*words: object) -> tuple[subprocess.Popen[str], dict[str, object]]:
    command = [sys.executable, "-m", "alfred", "serve", *map(str, words), "--json", "--no-open"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
    told = ""
    assert process.stdout is not None
    while not told.rstrip().endswith("}"):
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1])
        told += line
    return process, json.loads(told)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="session")
def served(root: Path) -> Iterator[Served]:
    process, told = start_server(root, "--accounts", root.parent / "paper", "--storage", root.parent / "storage.log")
    port = int(str(told["port"]))
    assert told == {"address": f"http://127.0.0.1:{port}/", "folder": str(root), "port": port}
    yield Served(root, port, process)
    # Ctrl-C ends it cleanly; one who stays connected and asks nothing more does not hold it up.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/static/live.js")
    assert connection.getresponse().read()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    connection.close()
    assert (process.returncode, output, errors) == (0, "", "stopped\n")
