"""The quarterly experiment: unseen companies, standing forecasts, one ledger, and prices that are checked first."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score
from typer.testing import CliRunner, Result

from alfred.cli import app
from alfred.config import Experiment
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.point_in_time.fundamentals import REPORT_AGE
from alfred.data.quality.jumps import find_price_jumps, require_no_jumps
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.envs.settings import PortfolioSettings, RiskSettings
from alfred.errors import ConfigError, DataError
from alfred.evaluation.settings import IntervalSettings
from alfred.training.progress import Silence
from alfred.training.provenance.trials import TrialLog
from alfred.training.quarterly.forecasts import (
    ReportForecasts,
    find_outcomes,
    forecast_reports,
    join_signals,
    spread_forecasts,
)
from alfred.training.quarterly.run import run_quarterly
from alfred.training.quarterly.scores import score_head
from alfred.training.quarterly.settings import QuarterlySettings, read_quarterly
from alfred.training.quarterly.strategies import HoldBetween, walk_strategies
from alfred.training.quarterly.universe import Sides, choose_sides
from tests.analysts.fundamentals.world import QUARTER, make_reporting_market

WORLD = make_reporting_market(0.6)
BRIEF = {"steps": 60, "batch_size": 64, "validate_every": 20}
SETTINGS = QuarterlySettings.model_validate(
    {"n_train": 15, "n_evaluate": 15, "n_seeds": 1, "refit_every_days": None, "analyst": {"fitting": BRIEF}}
)
INTERVALS = IntervalSettings(n_replicates=200)


def run(market: Market, root: Path, settings: QuarterlySettings = SETTINGS) -> dict[str, object]:
    experiment = Experiment(intervals=INTERVALS)
    return run_quarterly(experiment, settings, market, root, reporter=Silence()).to_json()


def test_a_planted_signal_is_found_on_unseen_companies(tmp_path: Path) -> None:
    # Attainable is a correlation of 1 / sqrt(2).
    found = run(make_reporting_market(1.0), tmp_path)
    assert not set(found["train_symbols"]) & set(found["evaluate_symbols"])
    for row in found["scores"]:
        assert row["pearson_ci"][0] > 0.2
        assert row["sign_accuracy_ci"][0] > 0.55
    rows = {row["name"]: row for row in found["backtests"]}
    assert list(rows) == ["simple", "nuanced", "magnitude", "basket, held", "benchmark, held"]
    assert rows["simple"]["sharpe_ci"][0] > 0.5
    assert rows["simple"]["sharpe"] > rows["basket, held"]["sharpe"] + 1.0
    assert rows["simple"]["n_trials"] == len(TrialLog(tmp_path).read()) == 3
    stored = json.loads((tmp_path / "quarterly/quarterly/results.json").read_text())
    assert stored["scores"] == found["scores"]
    table = pd.read_csv(tmp_path / "quarterly/quarterly/forecasts.csv")
    assert set(table["symbol"]) <= set(found["evaluate_symbols"])
    assert (table["trained_until"] < table["date"]).all()


def test_a_useless_signal_is_not_found(tmp_path: Path) -> None:
    found = run(make_reporting_market(0.0, seed=3), tmp_path)
    for row in found["scores"]:
        low, high = row["pearson_ci"]
        assert low < 0.1
        assert abs(row["pearson"]) < 0.2
        assert high - low < 0.6
    assert found["backtests"][0]["sharpe_ci"][0] < 0


def test_no_session_sees_its_future() -> None:
    """Signals up to a date are the same, bit by bit, when everything after it is another world, reports included."""
    split = WORLD.dates[22 * QUARTER]
    sides = Sides(WORLD.symbols[:15], WORLD.symbols[15:30], split)
    settings = SETTINGS.model_copy(update={"heads": ("direction",), "refit_every_days": 2 * QUARTER})
    ages = WORLD.extras[REPORT_AGE][:, 20]
    dates = [int(np.flatnonzero((ages == age) & (np.arange(len(ages)) > 26 * QUARTER))[0]) for age in (0, 62)]
    for last in dates:
        other = scramble_after(WORLD, WORLD.dates[last], seed=2)
        # Every company reports anew on the next session, and again a week later.
        other.extras[REPORT_AGE][last + 1 :] = np.arange(WORLD.n_dates - last - 1)[:, None] % 5
        signals = []
        for market in (WORLD, other):
            found, _ = forecast_reports(market, sides, settings, "direction")
            signals.append(spread_forecasts(market.select(sides.evaluate), found, sides, "direction", settings))
        rows = signals[0].dates <= WORLD.dates[last]
        assert np.isfinite(signals[0].values[rows]).any()
        np.testing.assert_array_equal(signals[0].values[rows], signals[1].values[rows])
        assert not np.array_equal(signals[0].values[~rows], signals[1].values[~rows], equal_nan=True)


def test_standing_forecasts_are_those_of_the_analyst() -> None:
    """What is made once a report and carried forward is what the analyst would say on each session."""
    split = WORLD.dates[24 * QUARTER]
    sides = Sides(WORLD.symbols[:15], WORLD.symbols[15:18], split)
    settings = SETTINGS.model_copy(update={"heads": ("magnitude",)})
    found, _ = forecast_reports(WORLD, sides, settings, "magnitude")
    judged = WORLD.select(sides.evaluate)
    signals = spread_forecasts(judged, found, sides, "magnitude", settings)
    age = judged.extras[REPORT_AGE]
    row = int(np.flatnonzero(age[:, 1] == 30)[-1])
    made = (found.columns == 1) & (found.rows == row - 30)
    place = row - int(judged.dates.searchsorted(split)) - 1
    assert signals.values[place, 1, 1] == np.float32(found.mean[made][0])
    assert np.isnan(signals.values[:, 3]).all()  # the benchmark does not report
    outcome = find_outcomes(judged, found, settings)
    later = judged.close[found.rows[0] + QUARTER, found.columns[0]]
    fresh = age[found.rows[0], found.columns[0]] == 0
    assert fresh or np.isnan(outcome[0])
    known = int(np.flatnonzero(np.isfinite(outcome))[0])
    later = judged.close[found.rows[known] + QUARTER, found.columns[known]]
    assert outcome[known] == pytest.approx(np.log(later / judged.close[found.rows[known], found.columns[known]]))


def test_strategies_by_hand() -> None:
    """Three companies with forecasts that are typed; the weights are those that the rules say."""
    market = replace(WORLD, extras={}).select(["S0", "S1", "S2", "SPY"])
    first = market.n_dates - 40
    sides = Sides(("S9",), ("S0", "S1", "S2"), market.dates[first - 1])
    ages = np.full(market.close.shape, np.nan)
    ages[first:, :3] = np.arange(40)[:, None]
    market = replace(market, extras={REPORT_AGE: ages})
    at = np.full(3, first)
    chances, means = np.array([0.8, 0.6, 0.2]), np.array([0.05, 0.02, -0.09])
    found = ReportForecasts(at, np.arange(3), chances, means, at - 1)
    signals = join_signals([spread_forecasts(market, found, sides, head, SETTINGS) for head in SETTINGS.heads])
    records = walk_strategies(market, signals, SETTINGS, PortfolioSettings(cost_bps=0, slippage_bps=0))
    weights = {record.name: record.weights[0] for record in records}
    third = 1 / 3
    # At the close of the execution they are what was bought, but for nothing: there is no open, so no move yet.
    np.testing.assert_allclose(weights["simple"], [third, third, -third, 0, 1 - third], atol=1e-6)
    np.testing.assert_allclose(weights["nuanced"], [third, 0, -third, 0, 1], atol=1e-6)
    np.testing.assert_allclose(weights["magnitude"], [0, 0, -1, 0, 2], atol=1e-6)
    np.testing.assert_allclose(weights["basket, held"], [third, third, third, 0, 0], atol=1e-6)
    for record in records:
        assert record.turnover[1:].max() < 1e-9  # bought once, held until the forecast changes
    # Drift, by hand: short positions are booked by the one ledger.
    close = market.close[first + 1 :, :3]
    wealth = 1 + (close / close[0] - 1) @ np.array([third, third, -third])
    np.testing.assert_allclose(records[0].wealth, wealth, rtol=1e-9)


def test_a_changed_forecast_is_traded_and_a_standing_one_is_not() -> None:
    class Says:
        name, lookback, under_mandate, long_only = "says", 0, False, True

        def reset(self, rows: object = None) -> None:
            pass

        def predict(self, observation: dict[str, np.ndarray]) -> np.ndarray:
            return observation["weights"].astype(float)

    policy = HoldBetween(Says())  # type: ignore[arg-type]
    one, two = np.array([[0.5, 0.5]]), np.array([[0.2, 0.8]])
    np.testing.assert_array_equal(policy.predict({"weights": one}), one)
    assert np.isnan(policy.predict({"weights": one})).all()
    np.testing.assert_array_equal(policy.predict({"weights": two}), two)
    policy.reset()
    np.testing.assert_array_equal(policy.predict({"weights": two}), two)


def test_scores_are_those_of_the_library_and_intervals_hold_them() -> None:
    rng = np.random.default_rng(0)
    dates = pd.DatetimeIndex(rng.choice(pd.bdate_range("2015-01-01", "2018-12-31"), 400))
    outcome = rng.normal(size=400)
    mean = 0.5 * outcome + rng.normal(size=400)
    chance = 1 / (1 + np.exp(-mean))
    outcome[:5] = np.nan
    found = score_head("direction", dates, chance, mean, outcome, INTERVALS)
    known = np.isfinite(outcome)
    assert found.n == 395
    assert found.accuracy == pytest.approx(accuracy_score(outcome[known] > 0, chance[known] > 0.5))
    assert found.f1 == pytest.approx(f1_score(outcome[known] > 0, chance[known] > 0.5))
    assert found.pearson == pytest.approx(np.corrcoef(mean[known], outcome[known])[0, 1])
    for name in ("accuracy", "precision", "recall", "f1", "sign_accuracy", "pearson"):
        low, high = getattr(found, f"{name}_ci")
        assert low < getattr(found, name) < high
        assert high - low < 0.25
    few = score_head(
        "direction",
        dates[dates.year == 2015],
        *(x[dates.year == 2015] for x in (chance, mean, outcome)),
        INTERVALS.model_copy(update={"level": 0.99}),
    )
    assert few.accuracy_ci[1] - few.accuracy_ci[0] > found.accuracy_ci[1] - found.accuracy_ci[0]


def test_a_price_that_is_off_by_a_factor_is_found_before_training(tmp_path: Path) -> None:
    close = WORLD.close.copy()
    row = WORLD.n_dates - 5
    close[:row, 4] *= 2.95 / close[row - 1, 4]
    close[row:, 4] *= 146.76 / close[row, 4]
    wrong = replace(WORLD, close=close)
    (found,) = find_price_jumps(wrong)
    assert found[:2] == ("S4", WORLD.dates[row])
    assert found[2:] == pytest.approx((2.95, 146.76))
    with pytest.raises(DataError, match=r"'S4' goes from 2.95 to 146.76 \(times 49.75\)"):
        run(wrong, tmp_path)
    assert not (tmp_path / "quarterly").exists()
    require_no_jumps(WORLD)
    # Without the symbol the experiment runs.
    left = choose_sides(wrong, SETTINGS.model_copy(update={"exclude": ("S4",), "n_train": 14}))
    assert "S4" not in (*left.train, *left.evaluate)


def test_sides_are_disjoint_and_know_nothing_after_the_split() -> None:
    sides = choose_sides(WORLD, SETTINGS.model_copy(update={"n_train": 10, "n_evaluate": 5}))
    assert len(sides.train) == 10
    assert len(sides.evaluate) == 5
    assert not set(sides.train) & set(sides.evaluate)
    settings = SETTINGS.model_copy(update={"n_train": 10, "n_evaluate": 5, "split": sides.split.date()})
    other = scramble_after(WORLD, sides.split, seed=4)
    # Prices of the other world jump, which is refused; what is compared is the choice.
    calm = replace(other, close=np.where(np.isfinite(other.close), WORLD.close, np.nan))
    assert choose_sides(calm, settings) == sides


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"30 symbols have .* and 20 \+ 20 are asked for"):
        choose_sides(WORLD, SETTINGS.model_copy(update={"n_train": 20, "n_evaluate": 20}))
    with pytest.raises(DataError, match="no reports; join them"):
        choose_sides(replace(WORLD, extras={}), SETTINGS)
    with pytest.raises(DataError, match="leaves no quarter to judge"):
        choose_sides(WORLD, SETTINGS.model_copy(update={"split": WORLD.dates[-5].date()}))
    with pytest.raises(ValueError, match="S1 would be learnt from and judged on"):
        QuarterlySettings(train_symbols=("S0", "S1"), evaluate_symbols=("S1",))
    chosen = {"train_symbols": ("S0", "S2"), "evaluate_symbols": ("S1",), "exclude": ("S1",)}
    with pytest.raises(DataError, match="exclude leaves nothing of evaluate_symbols"):
        choose_sides(WORLD, SETTINGS.model_copy(update=chosen))
    with pytest.raises(ConfigError, match="n_trains"):
        read_quarterly(None, {"n_trains": 3})
    with pytest.raises(ConfigError, match=r"no\.yaml"):
        read_quarterly(tmp_path / "no.yaml", {})
    terms = PortfolioSettings(risk=RiskSettings(stop_loss_pct=5, stop_loss_at="close"))
    signals = spread_forecasts(
        WORLD.select(["S0", "S1"]),
        forecast_reports(WORLD, SIDES, SETTINGS, "direction")[0],
        SIDES,
        "direction",
        SETTINGS,
    )
    with pytest.raises(ConfigError, match=r"env.risk and env.constraints"):
        walk_strategies(WORLD.select(["S0", "S1"]), signals, SETTINGS, terms)


SIDES = Sides(WORLD.symbols[5:20], ("S0", "S1"), WORLD.dates[24 * QUARTER])


def test_a_file_and_options_make_one_experiment(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text("n_train: 7\nanalyst: {quarters: 24, size: medium}\n")
    found = read_quarterly(path, {"n_evaluate": 5, "analyst": {"quarters": 6}})
    assert (found.n_train, found.n_evaluate, found.analyst.quarters, found.analyst.size) == (7, 5, 6, "medium")
    assert found.analyst.context_length == found.analyst.needed_days


def write_data(folder: Path) -> None:
    """Write the planted world as files, as a user has them."""
    parts = [
        pd.DataFrame({"date": WORLD.dates.date, "symbol": symbol, "close": WORLD.close[:, n]})
        for n, symbol in enumerate(WORLD.symbols)
    ]
    pd.concat(parts).to_csv(folder / "prices.csv", index=False)
    rows, columns = np.nonzero(WORLD.extras[REPORT_AGE] == 0)
    surprise = WORLD.extras["eps_surprise_pct"][rows, columns]
    table = pd.DataFrame({"symbol": np.array(WORLD.symbols)[columns], "report_date": WORLD.dates[rows].date})
    table = table.assign(eps_reported=1 + surprise / 100, eps_estimated=1.0, release_time="pre")
    table.to_csv(folder / "reports.csv", index=False)


def test_the_command(tmp_path: Path) -> None:
    write_data(tmp_path)
    (tmp_path / "brief.yaml").write_text("n_seeds: 1\nanalyst: {fitting: {steps: 20, batch_size: 64}}\n")
    words = ["quarterly", "--file", tmp_path / "brief.yaml", "--train", "12", "--evaluate", "8", "--quarters", "4"]
    words += ["--head", "magnitude", "--runs", tmp_path / "runs", "--set", f"data.path={tmp_path / 'prices.csv'}"]
    words += ["--set", f"data.fundamentals.path={tmp_path / 'reports.csv'}", "--set", "intervals.n_replicates=100"]

    def call(*more: str) -> Result:
        return CliRunner().invoke(app, [*map(str, words), *more], catch_exceptions=False)

    found = call("--json")
    assert found.exit_code == 0, found.output
    result = json.loads(found.stdout)
    assert [row["head"] for row in result["scores"]] == ["magnitude"]
    assert (len(result["train_symbols"]), len(result["evaluate_symbols"])) == (12, 8)
    assert set(result["scores"][0]) >= {"accuracy", "precision", "recall", "f1", "sign_accuracy", "pearson"}
    plain = call()
    assert all(words in plain.stdout for words in ("companies", "learnt from", "sign accuracy"))
    assert "Sharpe − basket" in plain.stdout
    for more, told in (
        (["--split", "soon"], "'soon' is not a date"),
        (["--first", "XYZ"], "'XYZ' is no candidate"),
        (["--train", "100"], "100 + 8 are asked for"),
        (["--head", "tail"], "heads.1"),
        (["--exclude", "S99"], "unknown symbol 'S99'"),
        (["--set", "data.fundamentals=null"], "no reports; join them"),
    ):
        refused = call(*more)
        assert refused.exit_code == 2
        assert refused.stdout == ""
        (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
        assert told in line


def test_real_reports(market_dir: Path, fundamentals_dir: Path, macro_dir: Path, tmp_path: Path) -> None:
    """On real tables: unseen companies, forecasts that change on sessions that learn of a report and on no other."""
    market = load_market(
        DataSettings.model_validate(
            {
                "path": market_dir,
                "end": "2018-12-31",
                "fundamentals": {"path": fundamentals_dir},
                "macro": {"path": macro_dir / "macro_daily.csv.gz"},
            }
        )
    )
    settings = SETTINGS.model_copy(update={"split": date(2016, 12, 31), "heads": ("direction",)})
    found = run(market, tmp_path, settings)
    assert not set(found["train_symbols"]) & set(found["evaluate_symbols"])
    assert found["scores"][0]["n"] > 80
    table = pd.read_csv(tmp_path / "quarterly/quarterly/forecasts.csv", parse_dates=["date", "trained_until"])
    assert (table["trained_until"] < table["date"]).all()
    later = table[table["date"] > table["date"].min()]
    ages = market.extras[REPORT_AGE]
    rows = market.dates.get_indexer(pd.DatetimeIndex(later["date"]))
    assert (ages[rows, [market.index_of(symbol) for symbol in later["symbol"]]] == 0).all()
    assert later["probability"].between(0, 1).all()
