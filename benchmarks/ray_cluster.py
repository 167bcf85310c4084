"""A Ray cluster of two raylets on this machine, which ends with whoever asked for it and leaves nothing."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_VARIABLE = "ALFRED_CLUSTER"
_PATIENCE_SECONDS = 180


class Cluster:
    """Two nodes with a core each; everything that they start carries a mark in its environment."""

    def __init__(self, folder: Path, memory: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self._folder = folder
        self._memory = memory
        self.mark = secrets.token_hex(16)
        # Whoever reaches a node without a token can run code on it. Ray reads these when it is imported.
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        try:
            self._start("127.0.0.1", "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
            # Another address of this machine, so that the driver belongs to the first node.
            self._start("127.0.0.2", f"--address={self.address}")
        except BaseException:
            self.close()
            raise

    def kill_second(self) -> None:
        """Kill the raylet of the second node, as a machine that vanishes."""
        (raylet,) = [pid for pid in self._list() if "--node_ip_address=127.0.0.2" in _read(pid, "cmdline")]
        os.kill(raylet, signal.SIGKILL)

    def close(self) -> None:
        """Kill exactly what was started."""
        end = time.monotonic() + 20
        while (left := self._list()) and time.monotonic() < end:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def _start(self, ip: str, *words: str) -> None:
        ray = Path(sys.executable).with_name("ray")
        command = [
            str(ray),
            "start",
            f"--node-ip-address={ip}",
            "--num-cpus=1",
            f"--object-store-memory={self._memory}",
        ]
        environment = {
            **os.environ,
            **self.environment,
            _VARIABLE: self.mark,
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        with (self._folder / "start.log").open("a") as log:
            done = subprocess.run(
                [*command, *words], env=environment, stdout=log, stderr=log, timeout=_PATIENCE_SECONDS, check=False
            )
        assert done.returncode == 0, (self._folder / "start.log").read_text()

    def _list(self) -> list[int]:
        places = Path("/proc").glob("[0-9]*")
        return [int(place.name) for place in places if f"{_VARIABLE}={self.mark}" in _read(place.name, "environ")]


@contextmanager
def start_cluster(memory: int = 200_000_000) -> Iterator[Cluster]:
    """Start a cluster in a short path, since Ray's sockets lie in it, with so many bytes for shared objects a node."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder), memory)
        try:
            yield cluster
        finally:
            cluster.close()


def _read(process: object, name: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/{name}").read_bytes().replace(b"\0", b"\n").decode(errors="replace")
    return ""
