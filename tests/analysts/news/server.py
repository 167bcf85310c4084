"""A chat endpoint on this machine that does what a test tells it: answers, is slow, fails, or lies."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler", list[dict[str, Any]]], None]


class Handler(BaseHTTPRequestHandler):
    """Keeps each request and hands it to the next answer; the last answer serves all that follow."""

    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = json.loads(body["messages"][1]["content"])["headlines"]
        self.server.requests.append({"path": self.path, "headers": dict(self.headers), "body": body, "asked": asked})
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self, asked)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Endpoint(ThreadingHTTPServer):
    daemon_threads = True
    answers: list[Answer]
    requests: list[dict[str, Any]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextlib.contextmanager
def serve(*answers: Answer) -> Iterator[Endpoint]:
    with Endpoint(("127.0.0.1", 0), Handler) as endpoint:
        endpoint.answers, endpoint.requests = list(answers), []
        thread = threading.Thread(target=endpoint.serve_forever, daemon=True)
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.shutdown()
            thread.join()


def judge(headline: str) -> float:
    """What the honest model thinks: it follows from the headline."""
    return 0.5 if "great" in headline else -0.5 if "terrible" in headline else 0.0


def wrap(content: object, tokens: object = 100) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    reply = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    return json.dumps(reply if tokens is None else {**reply, "usage": {"total_tokens": tokens}}).encode()


def score(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": item["id"], "sentiment": judge(item["headline"]), "outlook": None} for item in asked]


def honest(handler: Handler, asked: list[dict[str, Any]]) -> None:
    handler.send(200, wrap({"scores": score(asked)}))


def backwards(handler: Handler, asked: list[dict[str, Any]]) -> None:
    handler.send(200, wrap({"scores": score(asked)[::-1]}))


def status(code: int, **headers: str) -> Answer:
    return lambda handler, _: handler.send(code, b'{"error": "Bearer secret-key"}', **headers)


def content(value: object) -> Answer:
    return lambda handler, _: handler.send(200, wrap(value))


def told(tokens: object) -> Answer:
    """The honest answer with another count of tokens."""
    return lambda handler, asked: handler.send(200, wrap({"scores": score(asked)}, tokens=tokens))


def raw(body: bytes) -> Answer:
    return lambda handler, _: handler.send(200, body)


def changed(change: Callable[[list[dict[str, Any]]], object]) -> Answer:
    return lambda handler, asked: handler.send(200, wrap({"scores": change(score(asked))}))


def slow(seconds: float) -> Answer:
    def answer(handler: Handler, asked: list[dict[str, Any]]) -> None:
        time.sleep(seconds)
        honest(handler, asked)

    return answer


def dripping(handler: Handler, asked: list[dict[str, Any]]) -> None:
    """Send a byte now and then, so that the connection is never silent for long."""
    with contextlib.suppress(OSError):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b" ")
            time.sleep(0.05)


def drip(begin: bytes, each: bytes) -> Answer:
    """Send what comes before the body, byte by byte, and never come to the end of it."""

    def answer(handler: Handler, asked: list[dict[str, Any]]) -> None:
        handler.close_connection = True
        with contextlib.suppress(OSError):
            handler.wfile.write(begin)
            for _ in range(40):
                handler.wfile.write(each)
                time.sleep(0.05)

    return answer


def hangs_up(handler: Handler, asked: list[dict[str, Any]]) -> None:
    handler.close_connection = True
    handler.connection.close()
