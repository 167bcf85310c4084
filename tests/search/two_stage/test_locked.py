"""The locked part: one look is one look, and all trials are paid for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.errors import CheckpointError
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.deflation import Trials
from alfred.training.provenance.trials import DataIdentity
from alfred.training.search.two_stage.locked import DEFAULT, EQUAL_WEIGHT, LockedLedger, LockedVerdict, judge_locked
from alfred.training.search.two_stage.segments import cut_segments
from alfred.training.search.two_stage.strategy import DEFAULTS, NAME, build_strategy, walk
from tests.search.two_stage.cases import make_market, make_settings

SIGNAL = "tuned.probability_up_1"
ENV = PortfolioSettings(execution="close")


def make_signals(market: Market, values: np.ndarray) -> Signals:
    stamps = np.full(market.n_dates, market.dates[0].to_datetime64())
    panel = values[:, :, None].astype(np.float32)
    return Signals(market.dates, market.symbols, (SIGNAL,), panel, stamps, (1,)).scaled()


def judge(market: Market, n_trials: int, values: np.ndarray | None = None) -> LockedVerdict:
    segments = cut_segments(market, make_settings())
    planted = market.extras["planted_signal"]
    rng = np.random.default_rng(0)
    strategy = build_strategy(dict(DEFAULTS), SIGNAL)
    entries = [
        (NAME, make_signals(market, planted if values is None else values), strategy),
        (DEFAULT, make_signals(market, rng.standard_normal(planted.shape)), strategy),
    ]
    return judge_locked(
        market,
        ENV,
        segments,
        entries,
        winner="w",
        study="s",
        trials=Trials.declare(n_trials),
        intervals=IntervalSettings(n_replicates=300),
    )


def test_the_winner_is_compared_with_equal_weights_and_the_default() -> None:
    market = make_market(0.3)
    found = judge(market, 1)
    assert [item.baseline for item in found.comparisons] == [EQUAL_WEIGHT, DEFAULT]
    segments = cut_segments(market, make_settings())
    signals = make_signals(market, market.extras["planted_signal"])
    record = walk(market, signals, ENV, build_strategy(dict(DEFAULTS), SIGNAL), segments.locked)
    assert found.sharpe == compute_sharpe(record.excess, 252)
    for item in found.comparisons:
        assert item.difference == pytest.approx(found.sharpe - item.sharpe)
        assert item.low is not None and item.high is not None
        assert item.low < item.difference < item.high
        assert item.outcome == "beats"
    assert (found.start, found.end) == segments.describe()["locked"]


def test_more_trials_make_the_same_gain_worth_less() -> None:
    market = make_market(0.15)
    few, many = (judge(market, n).comparisons[0] for n in (1, 3000))
    assert few.difference == many.difference
    assert few.deflated is not None and many.deflated is not None
    assert many.deflated < few.deflated
    assert "3000 trials" in many.sentence


def test_a_winner_that_never_trades_is_no_number() -> None:
    market = make_market(0.15)
    found = judge(market, 10, -np.ones((market.n_dates, market.n_symbols)))
    assert (found.traded, found.sharpe) == (False, 0.0)
    assert [item.outcome for item in found.comparisons] == ["cannot tell", "cannot tell"]
    assert [item.low for item in found.comparisons] == [None, None]
    assert LockedVerdict.from_json(found.to_json()) == found


def make_verdict(**changes: object) -> LockedVerdict:
    base = LockedVerdict("w1", "s1", "2010-01-01", "2010-12-31", 1.0, True, 100, 1, ())
    return replace(base, **changes)  # type: ignore[arg-type]


def test_looks_are_counted(tmp_path: Path) -> None:
    ledger = LockedLedger(tmp_path, DataIdentity("", ()))
    assert ledger.read() == [] and ledger.find("w1", "s1") is None
    ledger.add(make_verdict())
    assert ledger.find("w1", "s1") == make_verdict()
    # The same winner again is no new look; another winner of the same search is, and its trials are its own.
    assert ledger.count_earlier("w1", "s1", "2010-01-01", "2010-12-31") == (0, 0)
    assert ledger.count_earlier("w2", "s1", "2010-01-01", "2010-12-31") == (1, 0)
    # Another search on an overlapping part pays for the trials of this one.
    assert ledger.count_earlier("w1", "s2", "2010-06-01", "2011-06-01") == (1, 100)
    assert ledger.count_earlier("w1", "s2", "2011-01-01", "2011-06-01") == (0, 0)
    ledger.add(make_verdict(winner="w3", study="s2", n_trials=150))
    assert ledger.count_earlier("w9", "s3", "2010-01-01", "2010-12-31") == (2, 150)
    # On other data nobody looked.
    other = LockedLedger(tmp_path, DataIdentity("SPY", ("A", "B")))
    assert other.count_earlier("w9", "s3", "2010-01-01", "2010-12-31") == (0, 0)


def test_a_damaged_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked.json").write_text('[{"winner": 1}]')
    with pytest.raises(CheckpointError, match="which winners were judged"):
        LockedLedger(tmp_path, DataIdentity("", ())).read()
