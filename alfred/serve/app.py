"""Which address shows what."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from alfred.errors import AlfredError
from alfred.serve import runs
from alfred.serve.accounts import Accounts
from alfred.serve.guard import REPORT_POLICY, Guard
from alfred.serve.pages import read_script, read_style, render
from alfred.serve.shelf import MIB, NotServed, Shelf
from alfred.serve.studies import COLUMNS, Search, Searches, describe_live
from alfred.training.catalogue.status import STATUS_FILE
from alfred.training.locks import ERROR_LOG

_REPORT_BYTES = 64 * MIB
_HTML = "text/html; charset=utf-8"


def make_app(shelf: Shelf, port: int, *, accounts: Shelf | None = None, storage: str | None = None) -> ASGIApp:
    """Return what answers requests.

    Args:
        shelf: The folder of runs.
        port: Where it is served.
        accounts: A folder of accounts on paper, besides those among the runs.
        storage: A storage of studies, besides those among the runs.
    """
    pages = _Pages(shelf, Searches(shelf, storage), Accounts([shelf] if accounts is None else [shelf, accounts]))
    routes: dict[str, Callable[[Request], Response]] = {
        "/": pages.show_list,
        "/compare": pages.show_comparison,
        "/runs/{name}": pages.show_run,
        "/searches/{place:path}": pages.show_search,
        "/storage": pages.show_storage,
        "/accounts/{shelf:int}/{name}": pages.show_account,
        "/reports/runs/{name}": pages.show_run_report,
        "/reports/searches/{place:path}": pages.show_search_report,
        "/reports/accounts/{shelf:int}/{name}": pages.show_account_report,
        "/live/runs": pages.tell_states,
        "/live/runs/{name}": pages.tell_run,
        "/live/searches/{place:path}": pages.tell_search,
        "/live/storage": pages.tell_storage,
        "/static/style.css": lambda _request: Response(read_style(), media_type="text/css"),
        "/static/live.js": lambda _request: Response(read_script(), media_type="text/javascript"),
    }
    app = Starlette(
        routes=[Route(path, answer) for path, answer in routes.items()],
        exception_handlers={
            NotServed: lambda _request, error: _refuse(404, "Not here", str(error)),
            AlfredError: lambda _request, error: _refuse(400, "That cannot be shown", str(error)),
            # Its traceback goes to the terminal.
            Exception: lambda _request, _error: _refuse(500, "That went wrong", "the terminal of the server says more"),
            HTTPException: lambda _request, error: _refuse(
                getattr(error, "status_code", 404), "Not here", "there is no such page"
            ),
        },
    )
    app.router.redirect_slashes = False
    return Guard(app, port)


@dataclass(frozen=True)
class _Pages:
    """One method an address."""

    shelf: Shelf
    searches: Searches
    accounts: Accounts

    def show_list(self, _request: Request) -> Response:
        cards = runs.list_cards(self.shelf)
        return _show(
            "index",
            folder=self.shelf.root.name,
            runs=[card for card in cards if card.is_run],
            others=[card for card in cards if card.is_other],
            searches=self.searches.list_searches(),
            accounts=self.accounts.list_accounts(),
            most=runs.MOST_COMPARED,
        )

    def show_run(self, request: Request) -> Response:
        name = request.path_params["name"]
        return _show(
            "run",
            card=runs.read_card(self.shelf, name),
            live=runs.read_live(self.shelf, name),
            texts={
                "Configuration": runs.read_text(self.shelf, name, "config.yaml"),
                "Manifest": runs.read_text(self.shelf, name, "manifest.json"),
                "The last error in code of your own": runs.read_text(self.shelf, name, ERROR_LOG, end=True),
                "The last command": runs.read_text(self.shelf, name, STATUS_FILE),
            },
        )

    def show_comparison(self, request: Request) -> Response:
        return _show_report(runs.compare(self.shelf, request.query_params.getlist("run")).encode())

    def show_search(self, request: Request) -> Response:
        return self._show_search(self.searches.read(_split(request)))

    def show_storage(self, _request: Request) -> Response:
        return self._show_search(self.searches.read_storage())

    def show_account(self, request: Request) -> Response:
        return _show("account", card=self.accounts.read(request.path_params["shelf"], request.path_params["name"]))

    def show_run_report(self, request: Request) -> Response:
        return self._send_file(self.shelf, request.path_params["name"], runs.REPORT_FILE)

    def show_search_report(self, request: Request) -> Response:
        return self._send_file(self.shelf, *_split(request), runs.REPORT_FILE)

    def show_account_report(self, request: Request) -> Response:
        shelf = self.accounts.find_shelf(request.path_params["shelf"])
        return self._send_file(shelf, request.path_params["name"], runs.REPORT_FILE)

    def tell_states(self, _request: Request) -> Response:
        return _tell({card.name: card.state for card in runs.list_cards(self.shelf) if card.is_run})

    def tell_run(self, request: Request) -> Response:
        return _tell(runs.read_live(self.shelf, request.path_params["name"]))

    def tell_search(self, request: Request) -> Response:
        return _tell(describe_live(self.searches.read(_split(request))))

    def tell_storage(self, _request: Request) -> Response:
        return _tell(describe_live(self.searches.read_storage()))

    def _show_search(self, search: Search) -> Response:
        return _show("search", search=search, columns=COLUMNS, fields=describe_live(search)["fields"])

    def _send_file(self, shelf: Shelf, *parts: str) -> Response:
        with shelf.open(*parts) as file:
            content = file.read(_REPORT_BYTES + 1)
        if len(content) > _REPORT_BYTES:
            raise NotServed(f"{parts[-1]} is larger than {_REPORT_BYTES // MIB} MiB; open the file itself")
        return _show_report(content)


def _split(request: Request) -> list[str]:
    return str(request.path_params["place"]).split("/")


def _show(template: str, status: int = 200, **parts: object) -> Response:
    return Response(render(template, **parts), status, media_type=_HTML)


def _show_report(content: bytes) -> Response:
    return Response(content, headers={"content-security-policy": REPORT_POLICY}, media_type=_HTML)


def _tell(value: object) -> Response:
    return Response(json.dumps(value, allow_nan=False), media_type="application/json")


def _refuse(status: int, title: str, text: str) -> Response:
    return _show("refusal", status, title=title, text=text)
