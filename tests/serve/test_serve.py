"""A real server in a process of its own: whom it refuses, and what its pages show of what is whole and what is not.

One module, so that one folder of runs and one server are enough.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import pytest

from alfred.serve.guard import REPORT_POLICY
from alfred.training import pipeline
from alfred.training.search.storage import open_storage
from tests.serve.browser import open_browser
from tests.serve.conftest import Served
from tests.serve.outline import Outline
from tests.serve.world import HOSTILE, SCRIPT, SECRET
from tests.training.small import make_small

RUN = f"/runs/{quote(HOSTILE, safe='')}"
PATHS = ("/", "/runs/small", "/reports/runs/small", "/live/runs", "/static/live.js", "/compare", "/nowhere")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_only_reading_is_allowed(served: Served, method: str) -> None:
    for path in PATHS:
        answer = served.ask(path, method, Content_Length="0")
        assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD", path


def test_head_is_get_without_a_body(served: Served) -> None:
    for path in ("/", "/runs/small", "/reports/runs/small", "/static/style.css"):
        got, told = served.ask(path), served.ask(path, "HEAD")
        assert told.status == 200 and told.body == b""
        assert told.headers["content-length"] == str(len(got.body))


def test_another_name_is_refused(served: Served) -> None:
    names = ("evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.1.evil.example:{port}", "[::1]:{port}")
    for host in ("", *(name.format(port=served.port) for name in names)):
        for path in PATHS:
            answer = served.ask(path, host=host)
            # A request of HTTP/1.1 without a name is refused before it comes here.
            assert answer.status == (400 if host == "" else 403), (host, path)
            assert b"small" not in answer.body


def test_its_own_names_are_accepted(served: Served) -> None:
    for host in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert served.ask("/", host=f"{host}:{served.port}").status == 200


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", ""]
)
def test_another_page_is_refused(served: Served, origin: str) -> None:
    assert served.ask("/live/runs", Origin=origin.format(port=served.port)).status == 403
    assert served.ask("/live/runs", Origin=served.address).status == 200


def test_a_page_elsewhere_can_link_here_but_not_load_from_here(served: Served) -> None:
    for site in ("cross-site", "same-site"):
        for kind in ("script", "image", "iframe", "empty", "style"):
            assert served.ask("/live/runs", Sec_Fetch_Site=site, Sec_Fetch_Dest=kind).status == 403
        assert served.ask("/", Sec_Fetch_Site=site, Sec_Fetch_Dest="document").status == 200
    assert served.ask("/live/runs", Sec_Fetch_Site="same-origin", Sec_Fetch_Dest="empty").status == 200


def test_every_answer_has_its_policies(served: Served) -> None:
    refusals = [served.ask("/", "POST"), served.ask("/", host="evil.example"), served.ask("/nowhere")]
    pages = [served.ask(path) for path in PATHS]
    for answer in (*refusals, *pages):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers and "server" not in answer.headers
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in pages[0].headers["content-security-policy"]
    assert served.ask("/reports/runs/small").headers["content-security-policy"] == REPORT_POLICY
    assert "sandbox allow-scripts" in REPORT_POLICY and "same-origin" not in REPORT_POLICY


@pytest.mark.parametrize(
    "way",
    [
        "..", "../outside", "%2e%2e", "%2e%2e%2foutside", "..%2foutside", "%2e%2e/outside", "..%5coutside",
        "..\\outside", "%252e%252e%252foutside", "small/../../outside", "small%2f..%2f..%2foutside", "%2fetc", "/etc",
        "%00", "small%00",
        ".", "%2e", ".hidden", "%2ehidden", "leaving", "no%fftext", "a-file", "%c0%ae%c0%ae", "a" * 5000, "small/",
    ],
)  # fmt: skip
def test_no_path_leaves_the_folder(served: Served, way: str) -> None:
    for start in (
        "/runs/",
        "/reports/runs/",
        "/live/runs/",
        "/searches/",
        "/reports/searches/",
        "/reports/accounts/1/",
    ):
        for path in (f"{start}{way}", f"{start}tuning/{way}", f"{start}{way}/report.html"):
            answer = served.ask(path)
            assert answer.status == 404, path
            assert SECRET not in answer.text and "root:" not in answer.text


def test_files_that_lead_out_are_not_read(served: Served) -> None:
    for path in ("/runs/linked", "/runs/linked-report", "/reports/runs/linked-report", "/compare?run=small&run=linked"):
        assert SECRET not in served.ask(path).text
    assert served.ask("/reports/runs/linked-report").status == 404
    assert served.ask("/compare?run=small&run=leaving").status == 404
    assert served.ask("/compare?run=small&run=..%2foutside").status == 404


def test_nothing_is_written(served: Served) -> None:
    def look() -> dict[str, tuple[int, int]]:
        places = [path for path in served.root.parent.rglob("*") if not path.name.endswith(".lock")]
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in places}

    before = look()
    for path in (*PATHS, "/compare?run=small&run=other", "/searches/tuning/found", "/accounts/1/mine"):
        served.ask(path)
    assert look() == before


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are listed there on Linux")
def test_it_listens_on_this_machine_only(served: Served) -> None:
    local = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    listening = [place for place in local if int(place.split(":")[1], 16) == served.port]
    assert listening == [f"0100007F:{served.port:04X}"]


def test_the_list_shows_what_is_there(served: Served) -> None:
    page = Outline(served.ask("/").text)
    for word in ("small", "other", "finished", "did not learn", "2011-08-19", "tuning/found", "mine", "+4.00%"):
        assert word in page.text
    boxes = {attrs["value"]: "disabled" in attrs for tag, attrs in page.tags if tag == "input"}
    assert boxes == {name: name in ("huge", "linked", "pipe") for name in (
        HOSTILE, "failed", "huge", "linked", "linked-report", "other", "pipe", "small", "torn"
    )}  # fmt: skip
    for fault in ("larger than 32 MiB", "config.yaml leads out", "results.json is not a plain file", "is damaged"):
        assert fault in page.text
    assert "leaving" not in page.text and "hidden" not in page.text


def test_a_verdict_is_that_of_a_finished_run(served: Served) -> None:
    page = Outline(served.ask("/runs/failed").text)
    assert "failed" in page.text and SCRIPT in page.text and "did not learn" not in page.text
    assert f"Traceback of {SCRIPT}" in page.text
    assert "No verdict" in page.text and "may be of other settings" in page.text
    page = Outline(served.ask("/runs/small").text)
    assert "did not learn" in page.text and "other settings" not in page.text


def test_every_link_leads_somewhere(served: Served) -> None:
    asked, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        if path in asked or path.startswith("data:"):
            continue
        asked.add(path)
        assert path.startswith("/"), path
        if path == "/compare":
            continue
        answer = served.ask(path)
        assert answer.status == 200, path
        if not path.startswith(("/reports", "/static")):
            waiting += Outline(answer.text).list_links()
    assert {"/runs/small", "/reports/runs/small", "/searches/tuning/found", "/accounts/1/mine", RUN} <= asked


def test_a_report_is_served_as_it_is(served: Served) -> None:
    assert served.ask("/reports/runs/small").body == (served.root / "small" / "report.html").read_bytes()


@pytest.mark.parametrize("path", ["/", RUN, "/searches/tuning/found", "/accounts/1/mine", "/runs/failed", "/runs/nope"])
def test_what_is_hostile_is_text(served: Served, path: str) -> None:
    text = served.ask(path).text
    page = Outline(text)
    own = [("script", {"src": "/static/live.js", "defer": None})]
    assert [item for item in page.tags if item[0] == "script"] == own
    assert not {"img", "iframe", "style", "object"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]
    assert "alert(1)>" not in re.sub(r'(value|aria-label)="[^"]*"', "", text.replace("&gt;", ""))


def test_a_run_shows_its_files(served: Served) -> None:
    page = Outline(served.ask("/runs/small").text)
    config = (served.root / "small" / "config.yaml").read_text()
    assert config in page.text and '"data_checksum"' in page.text and "done: evaluation" in page.text
    page = Outline(served.ask(RUN).text)
    assert SCRIPT in page.text and "��" in page.text


def test_long_files_are_cut(served: Served) -> None:
    log = served.root / "torn" / "log.txt"
    log.write_text("".join(f"line {number:07d}\n" for number in range(20_000)))
    text = str(served.ask("/live/runs/torn").json()["log"])
    assert len(text) < 70_000 and text.startswith("[260,000 bytes in all") and text.endswith("line 0019999\n")
    log.unlink()


def test_a_comparison_of_chosen_runs(served: Served) -> None:
    answer = served.ask("/compare?run=small&run=other")
    assert answer.status == 200 and "small and other" in answer.text and "env.cost_bps" in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    for chosen in ("", "?run=small", "?run=small&run=small", "?" + "&".join(f"run={n}" for n in range(13))):
        refused = served.ask(f"/compare{chosen}")
        assert refused.status == 400 and "choose 2 to 12" in refused.text
    refused = served.ask("/compare?run=small&run=huge")
    assert refused.status == 404 and "larger than 32 MiB" in refused.text


def test_an_account_shows_what_is_booked(served: Served) -> None:
    page = Outline(served.ask("/accounts/1/mine").text)
    for word in ("1,040", "+4.00%", "2020-01-08", "A<b>", "50.00%", "30.00%", "20.00%", "left alone"):
        assert word in page.text
    assert "is damaged" in Outline(served.ask("/accounts/1/broken").text).text
    assert served.ask("/accounts/2/mine").status == served.ask("/accounts/0/mine").status == 404


def test_a_search_follows_its_journal(served: Served) -> None:
    def read() -> dict[str, Any]:
        return served.ask("/live/searches/tuning/found").json()

    told = read()
    assert told["running"] and told["studies"] == 1
    fields = told["fields"]
    assert (fields["0.complete"], fields["0.running"], fields["0.failed"], fields["0.best"]) == ("12", "1", "1", "0")
    journal = served.root / "tuning" / "found" / "journal.log"
    assert served.ask("/reports/searches/tuning/found").status == 404
    (journal.parent / "report.html").write_text("a report")
    assert served.ask("/reports/searches/tuning/found").text == "a report"
    assert 'href="/reports/searches/tuning/found"' in served.ask("/searches/tuning/found").text
    optuna.load_study(study_name="found@abc", storage=open_storage(str(journal))).ask()
    assert read()["fields"]["0.running"] == "2"
    before = journal.read_bytes()
    journal.write_bytes(b'{"op_code": 0}\n')
    assert "damaged" in served.ask("/searches/tuning/found").text and served.ask("/").status == 200
    journal.write_bytes(before)
    assert read()["fields"]["0.running"] == "2"


def test_a_storage_is_shown_beside_the_folder(served: Served) -> None:
    page = Outline(served.ask("/").text)
    assert "/storage" in page.list_links()
    assert "smaller is better" in served.ask("/storage").text
    assert served.ask("/live/storage").json()["fields"]["0.complete"] == "12"


class Watcher:
    """A reporter of a real run that looks at the server whenever it is told something."""

    def __init__(self, served: Served, name: str) -> None:
        self._served, self._name = served, name
        self.seen: list[dict[str, Any]] = []
        self.pages: list[str] = []
        self.piece: list[Any] = []

    def begin(self, name: str, total: int) -> Any:
        def update(done: int) -> None:
            if name == "evaluation" and 0 < done < total and not self.pages:
                self.piece = [name, done, total]
                end = time.monotonic() + 20
                while self.piece not in self.look()["pieces"] and time.monotonic() < end:
                    time.sleep(0.05)
                self.pages.append(self._served.ask(f"/runs/{self._name}").text)

        return update

    def say(self, text: str) -> None:
        self.look()

    def look(self) -> dict[str, Any]:
        self.seen.append(self._served.ask(f"/live/runs/{self._name}").json())
        return self.seen[-1]


def test_a_run_is_followed_while_it_goes_on(served: Served) -> None:
    """The run is in this process, the server in another one."""
    watcher = Watcher(served, "live")
    pipeline.run_all(make_small(served.root.parent / "prices.csv", name="live"), served.root, reporter=watcher)
    assert {told["state"] for told in watcher.seen} == {"running"}
    last = watcher.seen[-1]
    assert last["pieces"] == [watcher.piece] and last["n_done"] == last["n_pieces"] - 1 == 4
    assert "done: direct fold 1 seed 0" in last["log"]
    (page,), (_, done, total) = watcher.pages, watcher.piece
    assert 'data-live="/live/runs/live"' in page and f'<progress value="{done}" max="{total}">' in page
    after = served.ask("/live/runs/live").json()
    assert after["state"] == "finished" and after["pieces"] == [] and after["n_done"] == 5
    assert served.ask("/live/runs").json()["live"] == "finished"
    assert "data-live" not in served.ask("/runs/live").text
    # The same experiment was run before there was a server; only the count of trials has changed since.
    ours, before = (json.loads((served.root / name / "results.json").read_text()) for name in ("live", "small"))
    keys = ("name", "sharpe", "sharpe_ci", "cagr", "max_drawdown", "turnover", "cost", "sharpe_minus_benchmark_ci")
    assert [[row[key] for key in keys] for row in ours] == [[row[key] for key in keys] for row in before]


def test_pages_open_in_a_browser(served: Served, tmp_path: Path) -> None:
    own = (f"{served.address}/", "data:", "blob:")
    paths = ["/", "/runs/small", RUN, "/searches/tuning/found", "/accounts/1/mine"]
    with open_browser(tmp_path / "profile") as browser:
        for width in (1280, 390):
            for path in paths:
                browser.open(served.address + path, width)
                assert browser.list_complaints() == [], path
                assert [url for url in browser.list_requests() if not url.startswith(own)] == []
                assert browser.measure_overflow() == 0, (path, width)
        # The boxes lead to a comparison, and the list follows the runs while it is open.
        browser.open(served.address, 1280)
        browser.evaluate("""for (const name of ["small", "other"])
            document.querySelector(`input[value=${name}]`).click()""")
        browser.evaluate("document.querySelector('[data-run=torn]').textContent = 'old'")
        browser.wait(lambda: browser.evaluate("document.querySelector('[data-run=torn]').textContent") == "finished")
        browser.evaluate("document.querySelector('button').click()")
        browser.wait(lambda: browser.evaluate("document.documentElement.dataset.figures") == "2")
        assert browser.list_complaints() == []
        assert sorted(browser.evaluate("new URL(location).searchParams.getAll('run')")) == ["other", "small"]
        # A report is a stranger to the server that it came from.
        browser.open(f"{served.address}/reports/runs/small", 1280)
        browser.wait(lambda: browser.evaluate("document.documentElement.dataset.figures"))
        assert browser.evaluate("document.querySelectorAll('.panel svg').length") > 0
        assert browser.list_complaints() == []
        assert [url for url in browser.list_requests() if not url.startswith(own)] == []
        asked = browser.evaluate("fetch('/live/runs').then(() => 'answered', () => 'refused')")
        assert asked == "refused" and browser.evaluate("origin") == "null"
