"""What may be said in one line, in which colour, and what is too good to be said at all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alfred.evaluation.behaviour import ActionMap, Behaviour
from alfred.evaluation.formatting import format_difference, format_interval
from alfred.evaluation.headline import Training, describe_trainings, find_tone, write_headline
from alfred.evaluation.plausibility import find_sharpe_warning, find_signal_warnings
from alfred.evaluation.results import ResultRow, compute_results
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.significance import Verdict
from tests.evaluation.conftest import draw_returns, make_backtest

BEHAVIOUR = Behaviour(0.5, {}, (), ActionMap((0, 1), (0, 1), (), (), 1, 1), ())
FEW = IntervalSettings(n_replicates=200)


def make_trainings(untrained: int, count: int) -> tuple[Training, ...]:
    steps = [0] * untrained + [4_096] * (count - untrained)
    return tuple(Training(0, seed, step, 1.0, 0.5, 0.4, 0.2) for seed, step in enumerate(steps))


def judge(
    sharpes: tuple[float, float, float], untrained: int = 0, count: int = 4, **changes: object
) -> list[ResultRow]:
    """Rows of an agent, the benchmark and equal weight whose true Sharpe ratios are known."""
    returns = draw_returns(2_500, sharpes, 0.6, seed=4)
    names = ("agent", "SPY", "equal weight")
    records = [make_backtest(returns[:, column], name) for column, name in enumerate(names)]
    return compute_results(
        records,
        benchmark="SPY",
        equal_weight="equal weight",
        intervals=FEW,
        trainings={"agent": make_trainings(untrained, count)},
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("sharpes", "text", "tone"),
    [
        ((3.0, 0.2, 1.0), "agent beats SPY and equal weight", "green"),
        ((3.0, 0.2, 3.0), "agent beats SPY, as equal weight does", "amber"),
        ((1.6, 0.2, 3.0), "agent beats SPY, as equal weight does", "amber"),
        ((-0.3, 0.2, 0.2), "Cannot tell whether agent beats SPY", "grey"),
        ((0.0, 2.5, 0.0), "agent does not beat SPY", "red"),
    ],
)
def test_a_tick_is_for_who_beats_both(sharpes: tuple[float, float, float], text: str, tone: str) -> None:
    row = judge(sharpes)[0]
    assert row.headline is not None
    assert (row.headline.text, row.headline.tone) == (text, tone)
    green = [find_tone(verdict, row.headline) == "green" for verdict in (row.versus_benchmark, row.versus_equal_weight)]
    assert any(green) == (tone == "green")


def test_who_kept_the_start_did_not_learn_whatever_the_numbers_say() -> None:
    for untrained, learnt in ((0, True), (1, True), (2, False), (4, False)):
        row = judge((3.0, 0.2, 1.0), untrained)[0]
        outcomes = {row.versus_benchmark.outcome, row.versus_equal_weight.outcome}  # type: ignore[union-attr]
        assert outcomes == ({"beats"} if learnt else {"did not learn"})
        assert row.headline is not None and ("beats" in row.headline.text) == learnt
    assert row.headline.text == "agent did not learn" and row.headline.tone == "amber"
    assert find_tone(row.versus_benchmark, row.headline) == "amber"
    assert "4 of 4 trainings kept the untrained start: this is equal weight." in row.versus_benchmark.explain()
    assert describe_trainings(make_trainings(15, 18)).startswith("15 of 18 trainings kept the untrained start")
    # A limit of the mandate may keep a start away from equal weight, which it must not be called then.
    assert describe_trainings(make_trainings(2, 2), 0.001).endswith("this is equal weight.")
    kept_away = describe_trainings(make_trainings(2, 2), 0.4)
    assert "this is equal weight" not in kept_away and "40% of its weights away from equal weight" in kept_away


def test_json_says_what_was_kept() -> None:
    flat = [row.to_json() for row in judge((1.0, 0.2, 1.0), untrained=3)]
    assert flat[0]["untrained"] == 3 and flat[0]["trainings"] == 4
    assert [item["untrained"] for item in flat[0]["kept"]] == [True, True, True, False]  # type: ignore[index,union-attr]
    assert flat[0]["headline"] == "agent did not learn" and flat[0]["headline_tone"] == "amber"
    assert flat[1]["kept"] is None and flat[1]["headline"] is None
    json.dumps(flat, allow_nan=False)


def test_a_ruined_book_stays_ruined() -> None:
    returns = draw_returns(400, (1.0, 0.2), 0.5, seed=1)
    returns[200, 0] = -1.0
    records = [make_backtest(returns[:, column], name) for column, name in enumerate(("agent", "SPY"))]
    row = compute_results(records, benchmark="SPY", intervals=FEW, trainings={"agent": make_trainings(4, 4)})[0]
    assert row.versus_benchmark.outcome == "does not beat" and row.versus_benchmark.ruined


def test_what_is_too_good_to_be_true_is_red() -> None:
    row = judge((9.0, 0.2, 1.0))[0]
    assert row.headline is not None
    assert row.headline.tone == "red" and row.headline.text.endswith("too good to be true")
    assert "above 4" in row.warnings[0]
    assert find_tone(row.versus_benchmark, row.headline) == "red"
    warned = judge((3.0, 0.2, 1.0), signal_warnings=["the signal knows"])
    assert warned[0].headline is not None and warned[0].headline.tone == "red"
    assert warned[0].warnings == ("the signal knows",) and not warned[2].warnings  # equal weight reads no signal
    assert len(find_sharpe_warning(float("inf"))) == 1
    # Three sessions may show any ratio and any correlation.
    assert find_sharpe_warning(9.0, 4.0) == [] and len(find_sharpe_warning(9.0, 2.0)) == 1
    assert find_sharpe_warning(4.0) == [] and find_sharpe_warning(float("nan")) == []


def test_equal_weight_at_another_pace_is_no_green_headline() -> None:
    row = judge((3.0, 0.2, 1.0))[0]
    assert row.headline is not None and row.headline.tone == "green"
    near = replace(BEHAVIOUR, active_share=0.001)
    same = write_headline(replace(row, behaviour=near), judge((3.0, 0.2, 1.0))[2])
    assert same.tone == "amber" and same.text.endswith("holding equal weight to within 2%")
    assert write_headline(replace(row, behaviour=BEHAVIOUR), judge((3.0, 0.2, 1.0))[2]).tone == "green"


def test_signals_that_know_are_named() -> None:
    skill = pd.DataFrame(
        {
            "signal": ["fair", "high", "low", "known", "size", "timer", "lucky", "drift"],
            "value": [0.03, 0.21, -0.3, 1.0, 0.4, np.nan, np.nan, 0.01],
            "measure": ["with the return"] * 4 + ["with its size"] + ["with the return"] * 3,
            # One asset has no correlation across symbols: what is left are its calls of rises and falls.
            "directional_accuracy": [0.51, 0.52, 0.48, 0.53, np.nan, 0.66, 0.66, 0.62],
            "base_rate": [0.53, 0.53, 0.53, 0.53, np.nan, 0.53, 0.53, 0.62],
            "low": [0.01, 0.205, -0.35, np.nan, 0.3, np.nan, np.nan, 0.0],
            "high": [0.05, 0.25, -0.25, np.nan, 0.5, np.nan, np.nan, 0.02],
            "n_dates": [1_000] * 8,
            "n_pairs": [5_000, 5_000, 5_000, 5_000, 5_000, 1_000, 50, 5_000],
        }
    )
    found = find_signal_warnings(skill, 252)
    assert [text.split(" of ")[1].split(" ")[0] for text in found[:3]] == ["high", "low", "known"]
    assert "no p-value exists" in found[2] and found[3].startswith("timer calls 66%") and len(found) == 4
    few = skill.assign(low=-0.5, high=0.9, n_dates=3, n_pairs=12)
    assert find_signal_warnings(few, 252) == []
    # A month's correlation over a few dates may well be large; the outcome itself is never a forecast.
    assert len(find_signal_warnings(skill, 12)) == 1
    assert find_signal_warnings(None, 252) == []


@given(st.floats(-3, 3), st.floats(0, 0.5))
def test_the_digits_make_what_is_said_true(middle: float, half: float) -> None:
    low, high = middle - half, middle + half
    for value in (low, middle, high):
        if abs(value) < 1e-6:
            continue
        shown = float(format_difference(value).replace("−", "-"))
        assert np.sign(shown) == np.sign(value)
    shown_low, shown_high = (float(end.replace("−", "-")) for end in format_interval(low, high).split(" to "))
    if abs(low) > 1e-6 and abs(high) > 1e-6:
        assert (shown_low > 0) == (low > 0) and (shown_high < 0) == (high < 0)


def test_reasons_are_spelt_with_those_digits() -> None:
    verdict = Verdict("equal weight", "does not beat", -0.0031, (-0.07, -0.0004), 0.01, 0.02, 0.02, 1)
    assert "Sharpe difference −0.003, interval −0.07 to −0.0004: wholly below zero" in verdict.explain()
    kept = replace(verdict, outcome="did not learn", trainings="All kept the start.")
    assert kept.explain().startswith("All kept the start. Sharpe difference −0.003")
