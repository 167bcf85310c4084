"""The command: a user's own analyst that looks ahead is named, an honest one is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from alfred.cli import app
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import load_market
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.training.audit.checks import check_batches, check_rewards, check_shuffled
from alfred.training.audit.run import choose_dates, cut_market, shorten
from tests.conftest import ROOT, make_random_market
from tests.training.small import make_small, write_prices

PEEKING = Path(__file__).with_name("peeking.py")
OWN = ROOT / "examples" / "own_analyst.py"


def run(folder: Path, plugin: Path, kind: str, *more: str) -> tuple[int, dict[str, object], str]:
    config = folder / "config.yaml"
    experiment = make_small(folder / "prices.csv", features=None, forecast={"min_train_days": 300})
    config.write_text(experiment.to_yaml(), encoding="utf-8")
    command = ["audit", str(config), "--plugin", str(plugin), "--set", f"analysts=[{{kind: {kind}, horizons: [1]}}]"]
    result = CliRunner().invoke(app, [*command, "--json", *more])
    return result.exit_code, json.loads(result.stdout) if result.exit_code < 2 else {}, result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("audit")
    write_prices(place, first=0)
    return place


@pytest.mark.parametrize("kind", [pytest.param("peeking", marks=pytest.mark.slow), "mixed"])
def test_an_analyst_that_opens_the_users_own_file_is_named(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEEKED_PRICES", str(folder / "prices.csv"))
    code, found, output = run(folder, PEEKING, kind)
    assert code == 1, output
    assert found["clean"] is False
    first = found["leaks"][0]  # type: ignore[index]
    assert first["stage"] == f"forecasts of {kind}" and first["kind"] == "outside"
    assert first["name"].startswith(f"{kind}.") and first["date"]


def test_an_analyst_that_reads_its_batch_is_named(folder: Path) -> None:
    code, found, output = run(folder, PEEKING, "batching")
    assert code == 1, output
    [leak] = found["leaks"]  # type: ignore[misc]
    assert leak["kind"] == "batch" and leak["stage"] == "forecasts of batching"  # type: ignore[index]


@pytest.mark.slow
def test_an_honest_analyst_of_a_users_own_is_clean(folder: Path) -> None:
    code, found, output = run(folder, OWN, "reversal")
    assert (code, found.get("leaks")) == (0, []), output
    assert {"forecasts of reversal", "signals", "observations", "actions of direct", "batches", "rewards"} <= set(
        found["stages"]  # type: ignore[arg-type]
    )


def test_mistakes_end_in_one_line(folder: Path, tmp_path: Path) -> None:
    code, _, output = run(folder, tmp_path / "nowhere.py", "reversal")
    assert code == 2 and "there is no such file" in output and len(output.strip().splitlines()) == 1
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_like_this\n", encoding="utf-8")
    code, _, output = run(folder, broken, "reversal")
    assert code == 2 and "cannot be imported: ModuleNotFoundError" in output
    code, _, output = run(folder, OWN, "reversal", "--set", "forecast.min_train_days=540")
    assert code == 2 and "the audit needs" in output


def test_dates_are_where_they_are_said_to_be(folder: Path) -> None:
    experiment = make_small(folder / "prices.csv", forecast={"min_train_days": 300})
    market = cut_market(load_market(experiment.data), experiment)
    short = shorten(experiment, market)
    dates = choose_dates(market, short)
    assert dates["in the warm-up"] < market.dates[300]
    refit = dates["at a refit in mid-month"]
    assert 12 <= refit.day < 19
    # What agents decide is compared as well: the date lies within the test.
    assert short.splits.test_start is not None and pd.Timestamp(short.splits.test_start) < refit < market.dates[-60]
    assert market.dates.get_loc(refit) == 299 + short.forecast.refit_every_days
    assert check_rewards(experiment.env) == []
    from alfred.training.audit.worlds import World

    assert check_batches(World(folder, short, market)) == []


def test_only_skill_that_no_order_of_dates_explains_is_named() -> None:
    market = make_random_market(500, 6, seed=1)
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.normal(size=(25, 6, 1)), 20, axis=0)  # held for a month, and wilder for some symbols
    noise *= np.linspace(0.2, 3.0, 6)[None, :, None]
    stamps = market.dates.to_numpy()
    slow = Signals(market.dates, market.symbols, ("own.dispersion_1",), noise.astype(np.float32), stamps, (1,))
    assert check_shuffled(market, slow, seed=0) == []
    # A market in which one symbol always wins and a signal that says nothing but its name, whatever the date.
    closes = np.exp(np.cumsum(rng.normal(0, 0.001, (500, 6)) + np.linspace(-0.01, 0.01, 6), axis=0))
    steady = Market.from_arrays(market.dates, market.symbols, closes, benchmark=market.benchmark)
    named = np.linspace(0, 1, 6)[None, :, None] + rng.normal(0, 1e-3, (500, 6, 1))
    told = Signals(steady.dates, steady.symbols, ("own.signal",), named.astype(np.float32), stamps, (1,))
    assert check_shuffled(steady, told, seed=0) == []


def test_a_measure_that_takes_the_better_sign_in_hindsight_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge_in_hindsight(signals: Signals, market: Market) -> pd.DataFrame:
        outcomes = compute_realised_returns(market, signals.dates, signals.symbols, 1)[:-1]
        values = signals.values[:-1, :, 0].astype(np.float64)
        skill = np.abs([np.corrcoef(*pair)[0, 1] for pair in zip(values, outcomes, strict=True)])
        t = skill.mean() / (skill.std(ddof=1) / np.sqrt(len(skill)))
        return pd.DataFrame({"signal": list(signals.names), "t": [t]})

    market = make_random_market(500, 6, seed=1)
    noise = np.random.default_rng(0).normal(size=(500, 6, 1)).astype(np.float32)
    signals = Signals(market.dates, market.symbols, ("own.signal",), noise, market.dates.to_numpy(), (1,))
    assert check_shuffled(market, signals, seed=0) == []
    monkeypatch.setattr("alfred.training.audit.checks.compute_signal_skill", judge_in_hindsight)
    [leak] = check_shuffled(market, signals, seed=0)
    assert (leak.name, leak.kind) == ("own.signal", "skill")
