"""Fundamentals: forecasts stand between reports, no future reaches them, and only what foretells is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alfred.analysts.checks import check_analyst
from alfred.analysts.forecast import Forecast
from alfred.analysts.fundamentals.analyst import FundamentalsAnalyst
from alfred.analysts.fundamentals.examples import Scale
from alfred.analysts.fundamentals.quarters import Quarters, find_reports, list_fields, read_quarters
from alfred.analysts.fundamentals.settings import FundamentalsAnalystSettings
from alfred.analysts.windows import compute_forward_returns
from alfred.data.contexts import make_contexts
from alfred.data.features.rollup import make_quarterly_table
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.point_in_time.fundamentals import REPORT_AGE, join_fundamentals
from alfred.data.settings import FundamentalsSettings
from alfred.errors import ConfigError, DataError
from tests.analysts.fundamentals.world import QUARTER, make_reporting_market

BRIEF = {"steps": 20, "batch_size": 32, "validate_every": 10}
CUT = 26 * QUARTER


def make(**changes: object) -> FundamentalsAnalyst:
    return FundamentalsAnalyst(FundamentalsAnalystSettings.model_validate(changes))


def forecast(analyst: FundamentalsAnalyst, market: Market, rows: np.ndarray, columns: np.ndarray) -> Forecast:
    return analyst.predict(make_contexts(market, rows, columns, length=analyst.context_length, fields=analyst.fields))


WORLD = make_reporting_market(0.6)
FITTED = make(head="magnitude", signals="both").fit(WORLD.until(WORLD.dates[CUT]).copy())


@pytest.mark.parametrize("changes", [{}, {"head": "magnitude", "parts": ["transformer"]}, {"signals": "both"}])
def test_contract(changes: dict[str, object]) -> None:
    small = make_reporting_market(0.3, n_symbols=5, n_quarters=24)
    check_analyst(lambda: make(quarters=4, fitting=BRIEF, **changes), small)


def correlate(strength: float, seed: int, head: str) -> tuple[float, float]:
    """Return the correlation of forecasts with outcomes on reports after the fit, and the share of right signs."""
    world = make_reporting_market(strength, seed=seed)
    analyst = make(head=head).fit(world.until(world.dates[CUT]).copy())
    rows, columns = find_reports(world)
    late = (rows > CUT) & (rows < world.n_dates - QUARTER)
    rows, columns = rows[late], columns[late]
    mean = forecast(analyst, world, rows, columns).mean[:, 0]
    outcome = compute_forward_returns(world, (QUARTER,))[rows, columns, 0]
    return float(np.corrcoef(mean, outcome)[0, 1]), float(np.mean((mean > 0) == (outcome > 0)))


@pytest.mark.parametrize("head", ["direction", "magnitude"])
def test_a_planted_signal_is_found(head: str) -> None:
    correlation, right = correlate(0.6, 0, head)
    # Attainable is 0.6 / sqrt(1.36) = 0.51; of 270 pairs the error is 0.06.
    assert correlation > 0.35
    assert right > 0.6


def test_a_useless_signal_is_not_found() -> None:
    found = np.array([correlate(0.0, seed, "direction") for seed in (0, 1)])
    assert np.abs(found[:, 0]).max() < 3 / np.sqrt(270)
    assert np.abs(found[:, 1] - 0.5).max() < 0.1


def test_a_forecast_stands_until_the_next_report_and_lapses_without_one() -> None:
    age = WORLD.extras[REPORT_AGE][:, 3]
    report = int(np.flatnonzero((age == 0) & (np.arange(len(age)) > CUT))[0])
    rows = np.arange(report - 1, report + QUARTER + 1)
    found = forecast(FITTED, WORLD, rows, np.full(len(rows), 3))
    assert (found.mean[1:-1] == found.mean[1]).all()
    assert (found.quantiles[1:-1] == found.quantiles[1]).all()
    assert found.mean[0] != found.mean[1]
    assert found.mean[-1] != found.mean[1]
    silent = age.copy()
    silent[report + 1 :] = np.arange(1, len(age) - report)
    ages = WORLD.extras[REPORT_AGE].copy()
    ages[:, 3] = silent
    quiet = replace(WORLD, extras={**WORLD.extras, REPORT_AGE: ages})
    rows = np.array([report, report + 125, report + 126])
    found = forecast(FITTED, quiet, rows, np.full(3, 3))
    assert found.mean[1] == found.mean[0] != 0.0
    assert found.mean[2] == 0.0


@pytest.mark.parametrize("distance", [0, 1, 30, 62])
def test_a_scrambled_future_changes_nothing(distance: int) -> None:
    """The date is that of a report, of the sessions after it, and of the session before the next one."""
    ages = WORLD.extras[REPORT_AGE]
    date = int(np.flatnonzero((ages[:, 5] == distance) & (np.arange(len(ages)) > CUT))[0])
    other = scramble_after(WORLD, WORLD.dates[date], seed=1)
    # A report that arrives on the next session is the future as well.
    other.extras[REPORT_AGE][date + 1] = 0.0
    columns = np.arange(WORLD.n_symbols - 1)
    rows = np.full(len(columns), date)
    first, second = forecast(FITTED, WORLD, rows, columns), forecast(FITTED, other, rows, columns)
    np.testing.assert_array_equal(first.quantiles, second.quantiles)
    again = make(fitting=BRIEF, quarters=4).fit(other.until(other.dates[date]).copy())
    once = make(fitting=BRIEF, quarters=4).fit(WORLD.until(WORLD.dates[date]).copy())
    np.testing.assert_array_equal(forecast(once, WORLD, rows, columns).mean, forecast(again, WORLD, rows, columns).mean)


def test_a_report_after_the_close_refreshes_the_forecast_on_the_next_session(tmp_path: Path) -> None:
    """The same reports, but one released before the open or after the close of the same day."""
    days = WORLD.dates[np.arange(20, WORLD.n_dates - 10, QUARTER)]
    rng = np.random.default_rng(0)
    surprises = rng.normal(size=(len(days), 4))
    late = len(days) - 3

    def join(release: str, surprise: float) -> Market:
        lines = ["symbol,report_date,eps_reported,eps_estimated,release_time"]
        for place, day in enumerate(days):
            for number in range(4):
                told = place == late and number == 1
                value = surprise if told else surprises[place, number]
                lines.append(f"S{number},{day.date()},{1 + value / 10:.4f},1.0,{release if told else 'pre'}")
        (tmp_path / "reports.csv").write_text("\n".join(lines) + "\n")
        bare = replace(WORLD, extras={}).select(["S0", "S1", "S2", "S3", "SPY"])
        return join_fundamentals(bare, FundamentalsSettings(path=tmp_path))

    row = int(WORLD.dates.searchsorted(days[late]))
    before, after = join("pre", 2.0), join("post", 2.0)
    analyst = make(fitting=BRIEF).fit(before.until(WORLD.dates[row - 1]).copy())
    rows, columns = np.arange(row - 1, row + 2), np.full(3, 1)
    early, post = (forecast(analyst, market, rows, columns).mean[:, 0] for market in (before, after))
    # Matrix products of another company round differently on some processors.
    np.testing.assert_allclose([early[0], post[1]], post[0], rtol=1e-5)
    assert early[1] != early[0]
    assert post[2] != post[1]
    # What the report after the close says reaches nothing of its own day.
    other = forecast(analyst, join("post", -9.0), rows, columns).mean[:, 0]
    np.testing.assert_allclose(other[:2], post[:2], rtol=1e-5)
    assert other[2] != post[2]


def test_the_latest_quarter_is_the_row_of_the_quarterly_table() -> None:
    table = make_quarterly_table(WORLD)
    names = ("eps_surprise_pct", "net_margin", *(f"price_distance_{days}" for days in (7, 30, 90, 180)))
    rows, columns = find_reports(WORLD)
    late = rows > 850
    rows, columns = rows[late][:40], columns[late][:40]
    settings = FundamentalsAnalystSettings()
    windows = make_contexts(WORLD, rows, columns, length=settings.context_length, fields=list_fields(names))
    found = read_quarters(windows, names, settings)
    expected = table.set_index(["date", "symbol"]).loc[
        list(zip(WORLD.dates[rows], np.array(WORLD.symbols)[columns], strict=True)), list(names)
    ]
    np.testing.assert_allclose(found.values[:, -1], expected.to_numpy(), rtol=1e-9)
    # And those before it are the rows of the reports before.
    place = int(np.flatnonzero(found.present.all(axis=1))[0])
    own = table[table["symbol"] == WORLD.symbols[columns[place]]]
    own = own[own["date"] <= WORLD.dates[rows[place]]].tail(settings.quarters)
    np.testing.assert_allclose(found.values[place], own[list(names)].to_numpy(), rtol=1e-9)


def test_missing_is_not_zero() -> None:
    values = np.array([[[np.nan, 1.0], [0.0, 3.0]], [[np.nan, np.nan], [2.0, 1.0]]])
    present = np.array([[True, True], [False, True]])
    quarters = Quarters(values, present, np.ones(2, bool), np.ones(2))
    found = Scale(np.array([0.0, 1.0]), np.array([1.0, 2.0])).apply(quarters)
    assert found[0].tolist() == [[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]]
    assert found[1].tolist() == [[0, 0, 0, 0, 0], [2, 0, 1, 1, 1]]


def test_an_unknown_value_is_forecast_from_otherwise_than_an_average_one() -> None:
    row, column = (int(values[-1]) for values in find_reports(WORLD))
    average = FITTED.scale_.centre[FITTED.columns_.index("eps_surprise_pct")]

    def change(value: float) -> float:
        panel = WORLD.extras["eps_surprise_pct"].copy()
        panel[row, column] = value
        market = replace(WORLD, extras={**WORLD.extras, "eps_surprise_pct": panel})
        return float(forecast(FITTED, market, np.array([row]), np.array([column])).mean[0, 0])

    assert change(np.nan) != change(average)


def test_a_column_without_a_scale_is_refused_by_name() -> None:
    flat = replace(WORLD, extras={**WORLD.extras, "net_margin": np.full(WORLD.close.shape, 0.1)})
    with pytest.raises(DataError, match=r"'net_margin'.*constant \(0.1\).*no scale"):
        make(columns=("eps_surprise_pct", "net_margin"), fitting=BRIEF).fit(flat)
    unknown = replace(WORLD, extras={**WORLD.extras, "net_margin": np.full(WORLD.close.shape, np.nan)})
    with pytest.raises(DataError, match=r"'net_margin'.*unknown"):
        make(columns=("eps_surprise_pct", "net_margin"), fitting=BRIEF).fit(unknown)
    chosen = make(fitting=BRIEF).fit(flat)
    assert "net_margin" not in chosen.columns_
    assert "net_margin" in chosen.notes[0]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(DataError, match="has none; name a table of them"):
        make().fit(replace(WORLD, extras={}))
    with pytest.raises(DataError, match=r"'eps_surprise'.*Did you mean"):
        make(columns=("eps_surprise",)).fit(WORLD)
    with pytest.raises(DataError, match="reports to train on"):
        make().fit(WORLD.select(["S0", "SPY"]).until(WORLD.dates[20 * QUARTER]))
    with pytest.raises(ValueError, match="context_length 64 is too short for 12 quarters"):
        FundamentalsAnalystSettings(context_length=64)
    with pytest.raises(ConfigError, match="components"):
        make(parts=("mlp",), signals="both", components=16).fit(WORLD.until(WORLD.dates[CUT]))


def test_twenty_four_quarters_need_longer_windows() -> None:
    assert FundamentalsAnalystSettings().context_length == 126 + 66 * 11 + 20 + 180
    assert FundamentalsAnalystSettings(quarters=24).context_length == 126 + 66 * 23 + 20 + 180


def test_components_are_those_of_the_reports() -> None:
    rows, columns = find_reports(WORLD)
    late = rows > CUT
    rows, columns = rows[late][:30], columns[late][:30]

    def reduce(at: np.ndarray) -> np.ndarray:
        windows = make_contexts(WORLD, at, columns, length=FITTED.context_length, fields=FITTED.fields)
        return FITTED.reduce(windows)

    assert np.isfinite(reduce(rows)).all()
    np.testing.assert_array_equal(reduce(rows), reduce(rows + 10))
    bench = np.full(2, WORLD.index_of("SPY"))
    windows = make_contexts(WORLD, np.array([CUT, CUT + 1]), bench, length=FITTED.context_length, fields=FITTED.fields)
    assert np.isnan(FITTED.reduce(windows)).all()
    assert (FITTED.predict(windows).mean == 0).all()
