"""Dates: weeks, phases, and a holdout segment that is out of reach for all others."""

from __future__ import annotations

import dataclasses
import json
from datetime import date

import pandas as pd
import pytest

from alfred.errors import CheckpointError, ConfigError, DataError
from alfred.training.experiments.holdout import LOOKS_FILE, Looks
from alfred.training.experiments.phases import find_holdout, plan_phase
from alfred.training.experiments.score import check_daily, find_week_ends
from alfred.training.experiments.settings import PhaseSettings, RegistrySettings
from alfred.training.provenance.trials import DataIdentity
from tests.conftest import make_random_market

MARKET = make_random_market(1000)
REGISTRY = RegistrySettings(
    holdout_days=100,
    max_train_days=400,
    quick=PhaseSettings(test_days=200),
    full=PhaseSettings(start=date(2012, 3, 15), refit_every_days=5),
    robustness=PhaseSettings(start=date(2012, 3, 15)),
)
HERE = DataIdentity.from_market(MARKET)
START, END = MARKET.dates[-100], MARKET.dates[-1]


def test_a_week_ends_before_the_next_one_begins_whatever_the_holidays() -> None:
    days = pd.DatetimeIndex(
        ["2024-03-27", "2024-03-28", "2024-04-01", "2024-04-05", "2024-04-08", "2024-04-19", "2024-04-22", "2024-04-23"]
    )
    assert find_week_ends(days).tolist() == [False, True, False, True, True, True, False, False]


@pytest.mark.parametrize("phase", ["quick", "full", "robustness"])
def test_no_phase_but_the_last_can_reach_the_holdout(phase) -> None:
    locked = find_holdout(MARKET, REGISTRY)
    assert locked == START
    plan = plan_phase(MARKET, REGISTRY, phase)
    assert plan.market.dates[-1] < locked
    assert plan.end < locked
    assert plan.market.n_dates == 900
    # The first trade is on the first session of a week.
    assert plan.start.isocalendar()[:2] != plan.decided.isocalendar()[:2]


def test_phases_begin_where_they_are_told() -> None:
    quick, full, last = (plan_phase(MARKET, REGISTRY, phase) for phase in ("quick", "full", "holdout"))
    assert 0 <= quick.first_row - (700 - 1) < 5
    assert (full.start, full.refit_every_days) == (pd.Timestamp("2012-03-19"), 5)
    assert START <= last.start < MARKET.dates[-95]
    assert last.end == END
    assert last.refit_every_days >= 100


@pytest.mark.parametrize("changes", [{"start": date(2013, 9, 1)}, {"end": date(2013, 12, 1)}])
def test_dates_inside_the_holdout_are_refused(changes) -> None:
    registry = REGISTRY.model_copy(update={"full": PhaseSettings.model_validate(changes)})
    with pytest.raises(ConfigError, match="inside the holdout segment"):
        plan_phase(MARKET, registry, "full")


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(DataError, match="fewer than 400 sessions to train on"):
        plan_phase(MARKET, REGISTRY.model_copy(update={"quick": PhaseSettings(test_days=800)}), "quick")
    with pytest.raises(DataError, match="holdout_days is 1000"):
        plan_phase(MARKET, REGISTRY.model_copy(update={"holdout_days": 1000}), "quick")


def test_bars_that_are_longer_than_a_day_are_refused() -> None:
    with pytest.raises(DataError, match="weekly picks need daily bars"):
        check_daily(dataclasses.replace(MARKET, periods_per_year=52))


def look(looks: Looks, choice: str = "a", *, again: bool = False, first: int = -100, identity=HERE) -> bool:
    return looks.begin(identity, MARKET.dates[first], END, ["baseline"], choice, again=again)


def test_a_second_look_is_refused_unless_it_is_asked_for_and_that_is_written_down(tmp_path) -> None:
    looks = Looks(tmp_path)
    assert look(looks)
    looks.finish("a")
    for choice in ("a", "b"):
        with pytest.raises(ConfigError, match="a second look is no holdout any more") as caught:
            look(looks, choice)
        assert "--again" in str(caught.value)
    assert looks.count(HERE, START, END) == 1
    assert not look(looks, "b", again=True)
    looks.finish("b")
    assert [(item.again, item.finished) for item in looks.read()] == [(False, True), (True, True)]
    assert looks.count(HERE, START, END) == 2


def test_other_dates_that_overlap_and_a_universe_with_a_symbol_less_are_the_same_segment(tmp_path) -> None:
    looks = Looks(tmp_path)
    look(looks)
    looks.finish("a")
    with pytest.raises(ConfigError):
        look(looks, first=-50)
    with pytest.raises(ConfigError):
        look(looks, identity=DataIdentity("SPY", HERE.symbols[:-1]))
    assert look(looks, identity=DataIdentity("QQQ", HERE.symbols))


def test_a_look_that_was_killed_goes_on_and_no_other_one_does(tmp_path) -> None:
    looks = Looks(tmp_path)
    assert look(looks)
    assert look(looks)
    assert len(looks.read()) == 1
    with pytest.raises(ConfigError, match="a second look"):
        look(looks, "other")


def test_a_damaged_file_opens_no_door(tmp_path) -> None:
    (tmp_path / LOOKS_FILE).write_text("[{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be read"):
        look(Looks(tmp_path))
    (tmp_path / LOOKS_FILE).write_text(json.dumps([{"time": "now"}]), encoding="utf-8")
    with pytest.raises(CheckpointError, match="restore it"):
        look(Looks(tmp_path), again=True)
