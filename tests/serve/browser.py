"""A Chromium without a window, told over a pipe what to do: it opens pages, measures them and keeps complaints."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_PATIENCE_SECONDS = 60.0


def find_browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium or Chrome on PATH; install one to test that the pages open")


class PageGoneError(AssertionError):
    """A page cannot answer; while another one is loaded that is no fault."""


class Browser:
    """One page of a browser, opened at many addresses."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parts: Any) -> dict[str, Any]:
        self._number += 1
        told = {"id": self._number, "method": method, "params": parts}
        if self._session is not None:
            told["sessionId"] = self._session
        os.write(self._writing, json.dumps(told).encode() + b"\0")
        while True:
            found = self._receive()
            if found.get("id") == self._number:
                if "error" in found:
                    raise PageGoneError(found["error"])
                return found["result"]

    def open(self, address: str, width: int, dark: bool = False) -> None:
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=address)
        self.wait(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))

    def evaluate(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise PageGoneError(found["exceptionDetails"])
        return found["result"].get("value")

    def wait(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            with suppress(PageGoneError):
                if condition():
                    return
                self.evaluate("new Promise((resume) => setTimeout(resume, 20))")
        raise AssertionError("the page did not get there in time")

    def list_complaints(self) -> list[str]:
        """Return errors and warnings of scripts, of the network and of the policy."""
        found = []
        for event in self.events:
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
                found.append(told["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and told["type"] in ("warning", "error"):
                found.append(json.dumps(told["args"]))
        return found

    def list_requests(self) -> list[str]:
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

    def measure_overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return int(self.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def save_picture(self, path: Path) -> None:
        content = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(content))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._reading, 1 << 16)
            assert chunk, "the browser ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        if "method" in found:
            self.events.append(found)
        return found


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with its profile in a folder, and end it."""
    program = find_browser()
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # Above the numbers that the browser wants to find them under.
    high_in, high_out = (fcntl.fcntl(item, fcntl.F_DUPFD_CLOEXEC, 10) for item in (theirs_in, theirs_out))
    quiet = os.open(os.devnull, os.O_RDWR)
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
    actions = [(os.POSIX_SPAWN_DUP2, old, new) for old, new in ((quiet, 1), (quiet, 2), (high_in, 3), (high_out, 4))]
    process = os.posix_spawn(
        program, [program, *words, f"--user-data-dir={folder}"], dict(os.environ), file_actions=actions
    )
    for item in (theirs_in, theirs_out, high_in, high_out, quiet):
        os.close(item)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        os.close(ours_out)
        os.close(ours_in)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
