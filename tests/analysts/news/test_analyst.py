"""Words that foretell returns are found, words that do not are not; missing news stays missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.analysts.checks import check_analyst
from alfred.analysts.news.analyst import NewsAnalyst
from alfred.analysts.news.settings import NewsAnalystSettings
from alfred.config import ForecastSettings
from alfred.data.contexts import make_contexts
from alfred.data.point_in_time.news import join_news
from alfred.data.settings import NewsSettings
from alfred.envs.tape import make_tape
from alfred.errors import DataError
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.training.forecasting import forecast_walk_forward
from tests.analysts.news.planted import make_news_market
from tests.conftest import make_random_market

pytest.importorskip("vaderSentiment", reason="the extra 'news' is not installed")

SETTINGS = NewsAnalystSettings(context_length=20, horizons=(1, 5))
SCHEDULE = ForecastSettings(min_train_days=500, refit_every_days=200, cache=None)
PLANTED, TONE = make_news_market(0.3)
USELESS, _ = make_news_market(0.0, seed=1)


def skill_of(market, name: str) -> pd.Series:
    signals = forecast_walk_forward(market, SETTINGS, SCHEDULE)
    return compute_signal_skill(signals, market).set_index("signal").loc[name]


def test_contract_where_there_is_something_to_find() -> None:
    check_analyst(lambda: NewsAnalyst(SETTINGS), PLANTED)


def test_planted_words_are_found() -> None:
    found = skill_of(PLANTED, "news.expected_return_1")
    assert found["t"] > 4
    # Corr of tone and return: 0.3 sqrt(0.4) / sqrt(1 + 0.09 x 0.4), and ties where there is no news.
    assert found["value"] == pytest.approx(0.19, abs=0.07)
    analyst = NewsAnalyst(SETTINGS).fit(PLANTED)
    assert analyst.evidence_[0] > 3


@pytest.mark.parametrize("seed", range(1, 6))
def test_useless_words_are_reported_as_none(seed) -> None:
    market, _ = make_news_market(0.0, seed=seed)
    analyst = NewsAnalyst(SETTINGS).fit(market)
    assert (analyst.evidence_ < 2.0).all()
    assert not analyst.model_.coefficients.any()
    assert [
        f"nothing credible {ahead} ahead" in note
        for ahead, note in zip(("1 session", "5 sessions"), analyst.notes, strict=True)
    ] == [True, True]
    rows, columns = np.full(6, 600), np.arange(6)
    forecast = analyst.predict(make_contexts(market, rows, columns, length=20, fields=analyst.fields))
    assert not forecast.mean.any()


def test_missing_news_is_missing_and_has_a_mask() -> None:
    signals = forecast_walk_forward(PLANTED, SETTINGS, SCHEDULE)
    rows = PLANTED.dates.get_indexer(signals.dates)
    values = dict(zip(signals.names, np.moveaxis(signals.values, 2, 0), strict=True))
    quiet = TONE[rows] == 0
    assert np.isnan(values["news.sentiment_1"][quiet]).all()
    assert (np.sign(values["news.sentiment_1"][~quiet]) == TONE[rows][~quiet]).all()
    np.testing.assert_array_equal(values["news.has_sentiment_1"], ~quiet)
    assert np.isfinite(values["news.expected_return_1"]).all()
    # What a network sees: zero for the unknown value, and a mask that says that it is unknown.
    tape = make_tape(PLANTED, signals.scaled())
    sentiment, mask = (signals.names.index(f"news.{name}_1") for name in ("sentiment", "has_sentiment"))
    first = signals.dates.get_indexer(tape.dates) - tape.lag
    unknown = quiet[first]
    assert not tape.signals[:, :, sentiment][unknown].any()
    assert not tape.signals[:, :, mask][unknown].any()
    assert (tape.signals[1:, :, mask][~unknown[1:]] > 0).all()


def test_without_masks_there_are_five_values() -> None:
    plain = NewsAnalystSettings(masks=False)
    assert plain.component_names == ("sentiment", "outlook", "attention", "sentiment_recent", "outlook_recent")
    assert NewsAnalystSettings().own_components == 10


def write_news(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    pd.DataFrame(rows, columns=["date", "time", "symbol", "headline"]).to_csv(path, index=False)


@pytest.mark.parametrize("probe", [505, 620])
def test_stamps_and_texts_of_the_future_do_not_reach_the_past(tmp_path, probe) -> None:
    """From the file on: everything stamped at or after the close of t is another text at another time."""
    bare = make_random_market(700)
    rng = np.random.default_rng(2)
    close = bare.dates[probe] + pd.Timedelta(hours=16)
    true, other = [], []
    for _ in range(1500):
        stamp = bare.dates[rng.integers(0, 700)] + pd.Timedelta(minutes=int(rng.integers(0, 1440)))
        symbol = str(rng.choice(bare.symbols))
        text = str(rng.choice(["a great profit", "a terrible loss"]))
        row = (str(stamp.date()), stamp.strftime("%H:%M"), symbol, text)
        true.append(row)
        if stamp < close:
            other.append(row)
        elif rng.random() < 0.5:
            later = max(stamp, close) + pd.Timedelta(minutes=int(rng.integers(0, 9000)))
            other.append((str(later.date()), later.strftime("%H:%M"), "S0", "soars after a superb win"))
    # The last one that may be known, and the first one that may not.
    true += [(str(close.date()), "15:59", "S0", "a terrible loss"), (str(close.date()), "16:00", "S0", "a great win")]
    other += [true[-2], (str(close.date()), "16:00", "S1", "a terrible loss")]
    found = []
    for name, rows in (("true", true), ("other", other)):
        write_news(tmp_path / f"{name}.csv", rows)
        market = join_news(bare, NewsSettings(path=tmp_path / f"{name}.csv"))
        found.append(forecast_walk_forward(market, SETTINGS, SCHEDULE))
    before = found[0].dates <= bare.dates[probe]
    assert before.sum() > 3
    assert found[0].values[before].tobytes() == found[1].values[before].tobytes()
    after = found[0].dates > bare.dates[probe]
    assert found[0].values[after].tobytes() != found[1].values[after].tobytes()


def test_a_history_without_headlines_forecasts_no_change() -> None:
    empty = replace(USELESS, headlines=USELESS.headlines.until("1999-12-31"))
    analyst = NewsAnalyst(SETTINGS).fit(empty)
    contexts = make_contexts(empty, np.array([500]), np.array([0]), length=20, fields=analyst.fields)
    assert not analyst.predict(contexts).mean.any()
    assert analyst.reduce(contexts)[0].tolist()[5:] == [0.0] * 5


def test_a_market_without_headlines_is_refused() -> None:
    with pytest.raises(DataError, match=r"'news' reads headlines, but the market has none.*data\.news\.path"):
        NewsAnalyst(SETTINGS).fit(make_random_market(300))


def test_another_list_of_words_refuses_what_was_fitted(tmp_path, monkeypatch) -> None:
    from alfred.analysts.news import lexicon
    from alfred.errors import CheckpointError

    NewsAnalyst(SETTINGS).fit(USELESS).save_pretrained(tmp_path)
    monkeypatch.setattr(lexicon, "FINANCE_WORDS", {"profit": -4.0})
    with pytest.raises(CheckpointError, match="was fitted on scores of"):
        NewsAnalyst.from_pretrained(tmp_path)
