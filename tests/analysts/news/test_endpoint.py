"""An endpoint that is slow, fails or lies costs time and never a wrong score; its key is nowhere to be read."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from alfred.analysts.checks import check_analyst
from alfred.analysts.news.analyst import NewsAnalyst
from alfred.analysts.news.endpoint import EndpointScorer
from alfred.analysts.news.replies import mask_names, read_reply
from alfred.analysts.news.scores import Item
from alfred.analysts.news.settings import EndpointSettings, NewsAnalystSettings
from alfred.errors import ConfigError, EndpointError, StorageError
from tests.analysts.news import server
from tests.analysts.news.planted import make_news_market

TEXTS = ["a great win", "a terrible loss", "a meeting"]
EXPECTED = [0.5, -0.5, 0.0]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path_factory, monkeypatch) -> None:
    """Caches that a test does not name stand there."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


def make_scorer(endpoint: server.Endpoint, cache: Path = Path("cache"), **changes: object) -> EndpointScorer:
    told = {"url": endpoint.url, "model": "tiny", "backoff_s": 0.01, "timeout_s": 5.0, "retries": 2, **changes}
    return EndpointScorer(EndpointSettings.model_validate(told), cache)


def ask(scorer: EndpointScorer) -> np.ndarray:
    return scorer.score(["AAA"] * len(TEXTS), TEXTS)


def test_scores_are_those_of_the_answer_by_id() -> None:
    with server.serve(server.backwards) as endpoint:
        scores = ask(make_scorer(endpoint))
    assert scores[:, 0].tolist() == EXPECTED
    assert np.isnan(scores[:, 1]).all()
    [request] = endpoint.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["body"]["temperature"] == 0
    assert request["asked"][0] == {"id": 0, "company": "AAA", "headline": "a great win"}


LIES = {
    "no JSON": server.content("The news is good."),
    "no object": server.content([1, 2, 3]),
    "another key": server.content({"score": 1}),
    "too few": server.changed(lambda scores: scores[:-1]),
    "too many": server.changed(lambda scores: [*scores, {"id": 3, "sentiment": 0, "outlook": None}]),
    "an id twice": server.changed(lambda scores: [scores[0], scores[0], scores[1]]),
    "a text": server.changed(lambda scores: [{**item, "sentiment": "0.5"} for item in scores]),
    "a truth value": server.changed(lambda scores: [{**item, "sentiment": True} for item in scores]),
    "out of range": server.changed(lambda scores: [{**item, "sentiment": 1.5} for item in scores]),
    "no number": server.changed(lambda scores: [{**item, "sentiment": float("nan")} for item in scores]),
    "outlook out of range": server.changed(lambda scores: [{**item, "outlook": -9} for item in scores]),
    "no choices": server.raw(b'{"choices": []}'),
    "no reply": server.raw(b"<html>502</html>"),
    "half a reply": server.raw(b'{"choices": [{"message": {"cont'),
}
FAILURES = {
    "500": server.status(500),
    "429": server.status(429, Retry_After="0"),
    "503 with a date": server.status(503, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
    "hangs up": server.hangs_up,
}


@pytest.mark.parametrize("answer", [*LIES.values(), *FAILURES.values()], ids=[*LIES, *FAILURES])
def test_a_lie_or_failure_is_asked_again(answer, tmp_path) -> None:
    with server.serve(answer, server.honest) as endpoint:
        scorer = make_scorer(endpoint, tmp_path)
        assert ask(scorer)[:, 0].tolist() == EXPECTED
    assert len(endpoint.requests) == 2
    assert scorer.ledger.read()[0] == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (LIES["too few"], "the answer has 2 scores for 3 headlines"),
        (LIES["out of range"], "a sentiment of the answer is not a number from -1 to 1"),
        (LIES["no JSON"], "the answer is not JSON"),
        (FAILURES["429"], "it answered with status 429"),
    ],
)
def test_who_never_answers_well_is_given_up(answer, reason, tmp_path) -> None:
    with server.serve(answer) as endpoint:
        scorer = make_scorer(endpoint, tmp_path)
        with pytest.raises(EndpointError, match=f"failed 3 times, the last time because {reason}") as caught:
            ask(scorer)
    assert len(endpoint.requests) == 3
    assert "secret" not in str(caught.value)
    assert scorer.store.read([("AAA", text) for text in TEXTS]) == {}


SLOW = {
    "silent": server.slow(1.0),
    "dripping": server.dripping,
    "dripping status": server.drip(b"HTTP/1.1 200 ", b"x"),
    "dripping header": server.drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "dripping chunk": server.drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_a_slow_answer_is_not_waited_for(answer) -> None:
    with server.serve(answer, server.honest) as endpoint:
        start = time.monotonic()
        scorer = make_scorer(endpoint, timeout_s=0.3)
        assert ask(scorer)[:, 0].tolist() == EXPECTED
        assert time.monotonic() - start < 0.9


def test_a_handshake_that_never_ends_is_not_waited_for() -> None:
    def drip() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
            for _ in range(40):
                connection.sendall(b"\x00")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        start = time.monotonic()
        settings = EndpointSettings(url=f"https://127.0.0.1:{listener.getsockname()[1]}/v1", timeout_s=0.3, retries=0)
        with pytest.raises(EndpointError, match=r"no answer came within 0\.3 s"):
            ask(EndpointScorer(settings, Path("cache")))
        assert time.monotonic() - start < 0.9
        thread.join(5.0)


def test_nobody_there() -> None:
    with server.serve(server.honest) as endpoint:
        pass
    with pytest.raises(EndpointError, match="failed 3 times, the last time because no connection"):
        ask(make_scorer(endpoint))


def test_waits_double_and_heed_the_endpoint(monkeypatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("alfred.analysts.news.endpoint.time.sleep", waits.append)
    answers = [server.status(500), server.status(500), server.status(429, Retry_After="7"), server.status(500)]
    with server.serve(*answers, server.honest) as endpoint:
        ask(make_scorer(endpoint, backoff_s=0.5, retries=4))
    assert waits == [0.5, 1.0, 7.0, 4.0]


@pytest.mark.parametrize("wait", ["nan", "inf", "-inf", "-5", "1e999", "soon"])
def test_a_wait_that_is_none_is_not_heeded(monkeypatch, wait) -> None:
    waits: list[float] = []
    monkeypatch.setattr("alfred.analysts.news.endpoint.time.sleep", waits.append)
    with server.serve(server.status(429, Retry_After=wait), server.honest) as endpoint:
        assert ask(make_scorer(endpoint, backoff_s=0.5))[:, 0].tolist() == EXPECTED
    assert waits == [0.5]


@pytest.mark.parametrize("tokens", [10**30, 2**63 - 1, 10**9, -1, 1e30, "many", True])
def test_a_count_of_tokens_that_cannot_be_loses_no_answer(tmp_path, tokens) -> None:
    with server.serve(server.told(tokens)) as endpoint:
        scorer = make_scorer(endpoint, tmp_path)
        assert ask(scorer)[:, 0].tolist() == EXPECTED
        assert scorer.score(["BBB"], TEXTS[:1])[0, 0] == EXPECTED[0]
    calls, spent = scorer.ledger.read()
    assert calls == 2
    assert 100 < spent < 2000


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "check the key"), (404, "check url and model"), (302, "it redirects")]
)
def test_a_refusal_is_not_asked_again(code, hint) -> None:
    answer = server.status(code, Location="http://127.0.0.1:9/")
    refused = pytest.raises(EndpointError, match=f"status {code}: {hint}")
    with server.serve(answer) as endpoint, refused as caught:
        ask(make_scorer(endpoint))
    assert len(endpoint.requests) == 1
    assert "secret" not in str(caught.value)


def test_what_was_scored_is_not_asked_again(tmp_path) -> None:
    with server.serve(server.honest) as endpoint:
        scorer = make_scorer(endpoint, tmp_path, headlines_per_call=2)
        first = ask(scorer)
        assert [len(request["asked"]) for request in endpoint.requests] == [2, 1]
        np.testing.assert_array_equal(ask(scorer), first)
        # Another process reads them from disk.
        np.testing.assert_array_equal(ask(make_scorer(endpoint, tmp_path, headlines_per_call=2)), first)
        assert len(endpoint.requests) == 2
        # Another model has scores of its own, and so has another symbol.
        ask(make_scorer(endpoint, tmp_path, model="other"))
        assert len(endpoint.requests) == 3
        scorer.score(["BBB"], TEXTS[:1])
        assert len(endpoint.requests) == 4
    assert scorer.ledger.read() == (4, 400)


def test_a_run_that_breaks_keeps_what_it_had(tmp_path) -> None:
    with server.serve(server.honest, server.status(500)) as endpoint:
        with pytest.raises(EndpointError, match="What was scored before is kept"):
            ask(make_scorer(endpoint, tmp_path, headlines_per_call=2))
        endpoint.answers, endpoint.requests = [server.honest], []
        assert ask(make_scorer(endpoint, tmp_path, headlines_per_call=2))[:, 0].tolist() == EXPECTED
        assert [len(request["asked"]) for request in endpoint.requests] == [1]


@pytest.mark.parametrize(("limit", "value"), [("max_calls", 2), ("max_tokens", 150)])
def test_a_budget_ends(tmp_path, limit, value) -> None:
    with server.serve(server.honest) as endpoint:
        scorer = make_scorer(endpoint, tmp_path, headlines_per_call=1, **{limit: value})
        with pytest.raises(EndpointError, match=rf"budget .* is used up: \d+ \w+ of {value}.*raise endpoint\.{limit}"):
            ask(scorer)
        assert len(endpoint.requests) == 2
        # Begun again it does not begin with a fresh budget, nor do another model or prompt; a larger one goes on.
        for other in ({}, {"model": "other"}, {"mask_names": True}):
            with pytest.raises(EndpointError, match="used up"):
                ask(make_scorer(endpoint, tmp_path, headlines_per_call=1, **{limit: value}, **other))
        assert len(endpoint.requests) == 2
        assert ask(make_scorer(endpoint, tmp_path, headlines_per_call=1))[:, 0].tolist() == EXPECTED
        assert len(endpoint.requests) == 3


def test_an_endpoint_without_a_cache_is_refused() -> None:
    with pytest.raises(ValueError, match="an endpoint needs a cache"):
        NewsAnalystSettings(backend="endpoint", knowledge_cutoff="2020-01-01", cache=None)
    assert NewsAnalystSettings(cache=None).cache is None


def test_tokens_are_estimated_where_nobody_counts_them(tmp_path) -> None:
    silent = lambda handler, asked: handler.send(200, server.wrap({"scores": server.score(asked)}, tokens=None))  # noqa: E731
    with server.serve(silent) as endpoint:
        scorer = make_scorer(endpoint, tmp_path)
        ask(scorer)
    _, tokens = scorer.ledger.read()
    assert len(json.dumps(endpoint.requests[0]["body"])) / 4 < tokens < 1000


def test_the_key_comes_from_the_environment_and_stays_there(tmp_path, monkeypatch) -> None:
    with server.serve(server.honest) as endpoint:
        with pytest.raises(ConfigError, match="environment variable ALFRED_TEST_KEY is not set"):
            make_scorer(endpoint, api_key_env="ALFRED_TEST_KEY")
        monkeypatch.setenv("ALFRED_TEST_KEY", "secret-key")
        market, _ = make_news_market(0.3, n_dates=300, n_symbols=3)
        settings = NewsAnalystSettings(
            backend="endpoint",
            knowledge_cutoff="2010-06-01",
            context_length=20,
            horizons=(1,),
            cache=tmp_path / "cache",
            endpoint={"url": endpoint.url, "api_key_env": "ALFRED_TEST_KEY", "headlines_per_call": 64},
        )
        analyst = NewsAnalyst(settings).fit(market)
        analyst.save_pretrained(tmp_path / "saved")
        assert endpoint.requests[0]["headers"]["Authorization"] == "Bearer secret-key"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 4
    assert not any(b"secret-key" in path.read_bytes() for path in written)
    assert "secret-key" not in repr(settings) + "".join(analyst.notes)
    assert str(analyst.knowledge_cutoff.date()) == "2010-06-01"


@pytest.mark.parametrize(
    "key", ["sk-hidden\nsecond", "sk-hidden\r\nX-Other: 1", "sk-hidden\u00e9", "sk-\u2014hidden", "sk-\x7fhidden"]
)
def test_a_key_that_no_header_can_carry_is_refused_unseen(monkeypatch, key) -> None:
    monkeypatch.setenv("ALFRED_TEST_KEY", key)
    with server.serve(server.honest) as endpoint:
        refused = pytest.raises(ConfigError, match="ALFRED_TEST_KEY holds a character that no key has")
        with refused as caught:
            ask(make_scorer(endpoint, api_key_env="ALFRED_TEST_KEY", retries=0))
    assert "hidden" not in "".join(traceback.format_exception(caught.value))
    assert endpoint.requests == []


def test_contract(tmp_path) -> None:
    market, _ = make_news_market(0.3, n_dates=400, n_symbols=3)
    with server.serve(server.honest) as endpoint:
        settings = NewsAnalystSettings(
            backend="endpoint",
            knowledge_cutoff="2010-06-01",
            context_length=20,
            horizons=(1, 5),
            cache=tmp_path,
            endpoint={"url": endpoint.url, "headlines_per_call": 64},
        )
        check_analyst(lambda: NewsAnalyst(settings), market)


NAMES = {"AAPL": ("Apple Inc.",), "A": ("Agilent Technologies, Inc.", "Agilent")}


@pytest.mark.parametrize(
    ("symbol", "text", "masked"),
    [
        ("AAPL", "Apple Inc. beats; APPLE up, $AAPL too", "the company beats; the company up, the company too"),
        ("AAPL", "Pineapple prices and AAPLX", "Pineapple prices and AAPLX"),
        ("AAPL", "AAPL (NASDAQ: AAPL) up", "the company the company up"),
        ("A", "A good day for Agilent Technologies (NYSE:A)", "A good day for the company the company"),
        ("A", "Agilent's profit, $A", "the company's profit, the company"),
        ("MSFT", "MSFT and Apple", "the company and Apple"),
    ],
)
def test_masks(symbol, text, masked) -> None:
    assert mask_names(Item(symbol, text), NAMES) == masked


def test_masked_requests_name_nobody() -> None:
    with server.serve(server.honest) as endpoint:
        scorer = make_scorer(endpoint, mask_names=True, company_names=NAMES)
        scorer.score(["AAPL"], ["Apple posts a great profit"])
    assert endpoint.requests[0]["asked"] == [{"id": 0, "headline": "the company posts a great profit"}]
    assert "AAPL" not in json.dumps(endpoint.requests[0]["body"])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/v1", "plain http to another machine"),
        ("file:///etc/passwd", "not one of http or https"),
        ("https://user:secret@example.com", "neither a key nor a query"),
        ("https://example.com/v1?key=1", "neither a key nor a query"),
    ],
)
def test_urls_that_are_refused(url, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        EndpointSettings(url=url)


def test_a_cutoff_is_asked_for() -> None:
    with pytest.raises(ValueError, match="until when model 'local' was trained: set knowledge_cutoff"):
        NewsAnalystSettings(backend="endpoint")


def test_a_damaged_store_is_named(tmp_path) -> None:
    with server.serve(server.honest) as endpoint:
        scorer = make_scorer(endpoint, tmp_path)
        scorer.store.path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
        with pytest.raises(StorageError, match="delete the file to have the headlines scored again"):
            ask(scorer)
        scorer.store.path.unlink()
        scorer.ledger.path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
        with pytest.raises(StorageError, match="delete the file to begin with a fresh budget"):
            ask(scorer)


def test_a_reply_may_be_told_apart_from_its_wrapping() -> None:
    scores, tokens = read_reply(server.wrap({"scores": [{"id": 0, "sentiment": 1, "outlook": -1}]}, tokens=None), 1)
    assert scores == [(1.0, -1.0)]
    assert tokens is None
