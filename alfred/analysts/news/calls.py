"""One HTTP call that ends at its deadline, whatever the server does."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from alfred.analysts.news.settings import LOCAL_HOSTS

MOST_BYTES = 4_000_000


class LengthError(Exception):
    """The answer is longer than any answer that was asked for."""


def post(url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> bytes:
    """Return the body of the answer to a POST request. Redirects are not followed.

    Args:
        url: Address, http or https.
        body: What is sent.
        headers: Headers of the request.
        timeout_s: Seconds that the call may take in all.

    Raises:
        TimeoutError: The answer was not there in time.
        LengthError: It is too long.
        urllib.error.HTTPError: The status is not one of success.
        OSError: There is no connection, or it broke.
        http.client.HTTPException: What came is not HTTP.
    """
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  the settings allow http and https
    with _Deadline(timeout_s) as deadline:
        handlers = [_NoRedirects(), _Plain(deadline), _Secure(deadline)]
        if urlsplit(url).hostname in LOCAL_HOSTS:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as response:
                received = _read(response)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.is_over:
                raise TimeoutError from error
            raise
        # A connection that was broken off looks like an answer that ends early.
        if deadline.is_over:
            raise TimeoutError
    return received


class _Deadline:
    """Breaks connections off when their time is over.

    The time limit of a socket begins anew with every byte, so that a server that sends one now and then, be it of the
    handshake, of a header or of the body, could hold a call for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._end = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._break_off)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for held in self._held:
                held.close()
            self._held.clear()

    def connect(self, address: tuple[str, int], timeout: float, *rest: Any) -> socket.socket:
        """Open a connection that ends at the deadline."""
        left = max(min(timeout, self._end - time.monotonic()), 1e-3)
        opened = socket.create_connection(address, left, *rest)
        opened.settimeout(timeout)
        with self._lock:
            # A copy, for encryption takes the original over.
            self._held.append(opened.dup())
            if self.is_over:
                self._shut()
        return opened

    def _break_off(self) -> None:
        with self._lock:
            self.is_over = True
            self._shut()

    def _shut(self) -> None:
        for held in self._held:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = deadline.connect


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = deadline.connect


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._connection = partial(_PlainConnection, deadline=deadline)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._connection = partial(_SecureConnection, deadline=deadline)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def _read(response: http.client.HTTPResponse) -> bytes:
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise LengthError
    return b"".join(parts)
