"""The server itself: one socket on this machine's own address, answered until Ctrl-C."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from alfred.errors import AlfredError, import_extra

if TYPE_CHECKING:  # of an extra
    from starlette.types import ASGIApp

HOST = "127.0.0.1"
_MOST_REQUESTS = 64
_PATIENCE_SECONDS = 2


def listen(port: int) -> socket.socket:
    """Return a socket that listens on this machine only.

    Args:
        port: 0 for one that is free.

    Raises:
        AlfredError: There is no such port, or it is taken.
    """
    if not 0 <= port < 1 << 16:
        raise AlfredError(
            f"there is no port {port}; choose one from 1 to {(1 << 16) - 1} with --port, or 0 for a free one"
        )
    opened = socket.socket()
    # A port that was just given up can be had again at once; one that is listened on cannot.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((HOST, port))
        opened.listen(_MOST_REQUESTS)
    except OSError as error:
        opened.close()
        raise AlfredError(f"cannot serve on port {port} ({error.strerror}); choose another one with --port") from error
    return opened


def answer(app: ASGIApp, opened: socket.socket) -> None:
    """Answer requests until Ctrl-C, which is raised when all is closed.

    Args:
        app: What answers.
        opened: A socket that listens.

    Raises:
        MissingExtraError: The server is not installed.
        KeyboardInterrupt: Somebody ended it.
    """
    uvicorn = import_extra("uvicorn", "serve")
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="error",
        lifespan="off",
        ws="none",
        http="h11",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_REQUESTS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_PATIENCE_SECONDS,
    )
    with opened:
        uvicorn.Server(config).run(sockets=[opened])
