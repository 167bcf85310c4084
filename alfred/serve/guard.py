"""Who may ask, and what an answer may do in a browser.

A server on this machine can be reached from any page that is open in a browser of this machine. So a request must name
this server by its own address (a name of another server that was made to point here is not it: DNS rebinding), must not
come out of another page, and can only read. The policy of every answer forbids it to load anything from elsewhere.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of the pages of the server: their script and style come from it, and nothing stands within the page."""
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)
"""Of pages that alfred wrote to a file: they run their own script, as a stranger to this server that cannot ask it."""

_HEADERS = {
    "content-security-policy": OWN_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_READING = ("GET", "HEAD")


class Guard:
    """Refuses what does not come from this server's own pages or address bar, and what would write.

    Args:
        app: What answers the others.
        port: Of this server.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        """Note the addresses of the server."""
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        if port == 80:
            self._hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._find_refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send_guarded)

    def _find_refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("this server answers to its own address only", 403)
        origins = headers.getlist("origin")
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return PlainTextResponse("this server answers to its own pages only", 403)
        if scope["type"] != "http" or scope["method"] not in _READING:
            return PlainTextResponse("this server is read only", 405, {"allow": ", ".join(_READING)})
        # Browsers say where a request comes from. Somebody may follow a link to a page here; a page may not load one.
        from_elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if from_elsewhere and headers.get("sec-fetch-dest") != "document":
            return PlainTextResponse("this server answers to its own pages only", 403)
        return None
