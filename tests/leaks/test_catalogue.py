"""Every planted leak is named, with its stage and a date that is not too late, and nobody honest is accused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.config import Experiment, parse_experiment
from alfred.data.sources import load_market
from alfred.training.audit.layers import Leak
from alfred.training.audit.run import compare, run_worlds
from tests.conftest import make_random_market
from tests.leaks.catalogue import HONEST, LEAKS, REFIT_DAYS
from tests.training.small import write_market

CATALOGUE = Path(__file__).with_name("catalogue.py")
N_DAYS = 420


def write_tables(folder: Path) -> Experiment:
    """Prices with a halt and a delisting, quarterly reports that are restated, and headlines by day and evening."""
    market = make_random_market(N_DAYS, 6, seed=7)
    tradable = market.tradable.copy()
    tradable[250:262, 0] = False
    tradable[390:, 1] = False
    object.__setattr__(market, "tradable", tradable)
    rows = market.dates
    write_market(folder / "prices.csv", market)
    table = pd.read_csv(folder / "prices.csv", parse_dates=["date"])
    halted = (table["symbol"] == "S0") & table["date"].isin(rows[250:262])
    ended = (table["symbol"] == "S1") & table["date"].isin(rows[390:])
    table[~halted & ~ended].to_csv(folder / "prices.csv", index=False)
    (folder / "symbols.csv").write_text(
        f"symbol,delisted,delisting_return\nS1,{rows[389].date()},-0.3\n", encoding="utf-8"
    )
    rng = np.random.default_rng(0)
    reports, news = [], []
    for symbol in market.symbols[:-1]:
        for end in range(20, N_DAYS - 60, 60):
            for lag in (15, 45):  # reported, and restated a month later
                cells = (symbol, rows[end + lag].date(), rows[end].date(), rng.normal(1, 0.3), 1.0, "pre", "x")
                reports.append(",".join(str(cell) for cell in cells))
        for day in rng.integers(5, N_DAYS - 1, 300):
            time = "10:30" if rng.random() < 0.5 else "18:45"
            news.append(f"{rows[day].date()},{time},{symbol},headline {day}")
    header = "symbol,report_date,fiscal_period_end,eps_reported,eps_estimated,release_time,source\n"
    (folder / "reports.csv").write_text(header + "\n".join(reports) + "\n", encoding="utf-8")
    (folder / "news.csv").write_text("date,time,symbol,headline\n" + "\n".join(news) + "\n", encoding="utf-8")
    data = {
        "path": str(folder / "prices.csv"),
        "fundamentals": {"path": str(folder / "reports.csv")},
        "news": {"path": str(folder / "news.csv")},
    }
    return parse_experiment({"data": data, "analysts": [{"kind": "naive"}], "forecast": {"min_train_days": 200}})


@pytest.fixture(scope="module")
def leaks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, list[Leak]], dict[str, pd.Timestamp]]]:
    folder = tmp_path_factory.mktemp("worlds")
    experiment = write_tables(folder)
    market = load_market(experiment.data)
    dates = {
        "in a halt": market.dates[255],
        # A day after a refit, whose labels are not known yet.
        "after a refit": market.dates[60 + 12 * REFIT_DAYS + 1],
        "before a permanent halt": market.dates[388],
    }
    truth, others = run_worlds(folder / "run", market, experiment, dates, [str(CATALOGUE)], 2, pipeline=False)
    found: dict[str, list[Leak]] = {}
    for name, date in dates.items():
        for leak in compare(truth, others[name], date):
            found.setdefault(leak.stage, []).append(leak)
    yield found, dates


@pytest.mark.parametrize("stage", LEAKS)
def test_a_planted_leak_is_named(stage: str, leaks: tuple[dict[str, list[Leak]], dict[str, pd.Timestamp]]) -> None:
    found, dates = leaks
    assert stage in found, f"{stage} was not seen"
    first = found[stage][0]
    assert first.kind == "future" and first.name == "own.signal" and first.symbol
    assert pd.Timestamp(first.date) <= max(dates.values())


@pytest.mark.parametrize("stage", [*HONEST, "market"])
def test_nobody_honest_is_accused(stage: str, leaks: tuple[dict[str, list[Leak]], dict[str, pd.Timestamp]]) -> None:
    assert leaks[0].get(stage, []) == []


def test_the_first_date_is_where_a_leak_begins(leaks: tuple[dict[str, list[Leak]], dict[str, pd.Timestamp]]) -> None:
    found, dates = leaks
    centred = {leak.date for leak in found["centred_rolling"]}
    # A window of five reaches two sessions ahead.
    for date in dates.values():
        near = [day for day in centred if 0 <= (date - pd.Timestamp(day)).days <= 5]
        assert near, (date, centred)
    assert {leak.symbol for leak in found["back_fill"]} == {"S0"}
    assert {leak.symbol for leak in found["knows_the_delistings"]} == {"S1"}


def test_the_catalogue_is_long_enough() -> None:
    assert len(LEAKS) >= 16
