"""The best analyst of each symbol: chosen on what comes before the test, promoted on what comes after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna.trial import TrialState

from alfred.analysts.chosen.entries import BestEntry, read_entries
from alfred.analysts.momentum import MomentumAnalyst
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import NaiveSettings
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.errors import CheckpointError, ConfigError, DataError
from alfred.training.progress import Silence
from alfred.training.search.analysts.families import FAMILIES, choose_families, make_settings
from alfred.training.search.analysts.history import History, roll_back, write_entries
from alfred.training.search.analysts.objective import Walk, forecast_symbol
from alfred.training.search.analysts.promotion import Promotion, compare_bests
from alfred.training.search.analysts.tuning import Request, Tuned, cut_search, list_anchors, tune_analysts
from alfred.training.search.storage import open_storage
from alfred.training.search.study import count_trials, find_studies, load_study
from tests.conftest import make_random_market
from tests.training.small import write_market

MARKET = make_random_market(700, 4, late_listing=True)
CHEAP = choose_families(["naive", "momentum", "ridge"])


def make_request(**changes: object) -> Request:
    told: dict[str, object] = {
        "name": "small",
        "symbols": ("S1", "S2"),
        "families": CHEAP,
        "n_trials": 5,
        "mode": "tpe",
        "seed": 0,
        "horizon": 5,
        "every": 3,
        "refit_every": 60,
    }
    return Request(**(told | changes))  # type: ignore[arg-type]


def tune(folder: Path, market: Market = MARKET, **changes: object) -> Tuned:
    return tune_analysts(market, make_request(**changes), folder, storage=str(folder / "journal.log"), n_workers=1)


def test_the_best_is_the_smallest_error_by_hand(tmp_path: Path) -> None:
    found = tune(tmp_path)
    past, walk = cut_search(MARKET, make_request())
    assert past.dates[-1] < MARKET.dates[int(700 * 0.8)]
    for symbol, entry in found.entries.items():
        values = {t.value for t in found.studies[symbol].get_trials(states=(TrialState.COMPLETE,))}
        assert entry.validation.mae_pct == min(values)
        close = past.close[:, past.index_of(symbol)]
        rows = np.arange(walk.first, past.n_dates - 5, 3)
        naive = 100 * np.abs(close[rows + 5] / close[rows] - 1)
        assert entry.validation.naive_mae_pct == pytest.approx(naive.mean())
        assert entry.validation.n_windows == len(rows)
        assert entry.validation.last == past.dates[rows[-1] + 5].date()
        assert read_entries(found.best)[symbol] == entry


def test_each_forecast_is_that_of_an_analyst_fitted_before(tmp_path: Path) -> None:
    settings = make_settings("momentum", {}, 5)
    walk = Walk(first=450, last=559, horizon=5, every=4, refit_every=40)
    found = forecast_symbol(MARKET, "S1", settings, walk)
    column = MARKET.index_of("S1")
    for place, row in enumerate(found.rows):
        fit_row = 449 + (row - 450) // 40 * 40
        analyst = make_analyst(settings).fit(MARKET.until(MARKET.dates[fit_row]))
        from alfred.data.contexts import make_contexts

        window = make_contexts(MARKET, np.array([row]), np.array([column]), length=253, fields=analyst.fields)
        forecast = analyst.predict(window)
        assert found.forecast[place] == pytest.approx(forecast.quantiles[0, 0, forecast.levels.index(0.5)])


def test_what_comes_after_the_search_changes_nothing(tmp_path: Path) -> None:
    past, _ = cut_search(MARKET, make_request())
    for place in ("true", "other"):
        (tmp_path / place).mkdir()
    other = scramble_after(MARKET, past.dates[-1], seed=3)
    one, two = tune(tmp_path / "true"), tune(tmp_path / "other", other)
    for symbol, study in one.studies.items():
        assert study.study_name == two.studies[symbol].study_name
        assert [t.value for t in study.trials] == [t.value for t in two.studies[symbol].trials]


def test_fits_do_not_see_what_they_are_judged_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pd.Timestamp] = []
    fit = MomentumAnalyst.fit

    def spy(self: MomentumAnalyst, past: Market) -> MomentumAnalyst:
        seen.append(past.dates[-1])
        return fit(self, past)

    monkeypatch.setattr(MomentumAnalyst, "fit", spy)
    walk = Walk(first=450, last=559, horizon=5, every=4, refit_every=40)
    forecast_symbol(MARKET, "S1", make_settings("momentum", {}, 5), walk)
    assert seen == [MARKET.dates[row] for row in (449, 489, 529)]


def test_an_analyst_that_leaves_windows_out_is_not_compared(tmp_path: Path) -> None:
    # S0 is listed late: twelve months of history are missing for the first windows.
    found = tune(tmp_path, symbols=("S0",))
    (study,) = found.studies.values()
    errors = {t.params["family"]: t.user_attrs.get("error", "") for t in study.trials}
    assert "windows could not be forecast" in errors["momentum"]
    assert found.entries["S0"].analyst["kind"] != "momentum"


def test_a_symbol_that_cannot_be_forecast_costs_itself_alone(tmp_path: Path) -> None:
    market = make_random_market(700, 4)
    tradable = market.tradable.copy()
    tradable[440:, market.index_of("S1")] = False
    found = tune(tmp_path, replace(market, tradable=tradable), n_trials=2)
    assert list(found.entries) == ["S2"] and list(found.failures) == ["S1"]
    assert "no successful trial" in found.failures["S1"]


@pytest.mark.parametrize("mode", ["quick", "grid", "random"])
def test_modes(tmp_path: Path, mode: str) -> None:
    found = tune(tmp_path, symbols=("S1",), mode=mode, n_trials=30)
    (study,) = found.studies.values()
    n_expected = {"quick": 3, "grid": 2 + 9, "random": 30}[mode]
    assert count_trials(study.trials) == n_expected
    assert {t.params["family"] for t in study.trials} == set(CHEAP)


def test_every_family_has_anchors_that_its_settings_accept() -> None:
    request = make_request(families=FAMILIES)
    for point in list_anchors(request):
        assert point["family"] in FAMILIES
    for family in FAMILIES:
        assert make_settings(family, {}, 5).horizons == (5,)


def test_a_nested_setting_keeps_the_others_of_its_analyst() -> None:
    told = make_settings("lstm", {"fitting": {"learning_rate": 0.005}}, 5)
    assert told.fitting.steps == 300 and told.fitting.learning_rate == 0.005  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "text", "kind"),
    [
        ({"symbols": ("APPL",)}, "there is no 'APPL'", ConfigError),
        ({"test_from": MARKET.dates[0]}, "--validate-from must lie after", ConfigError),
        ({"test_from": MARKET.dates[-1] + pd.Timedelta(days=1)}, "nothing would be left to judge on", ConfigError),
        ({"validate_from": MARKET.dates[557]}, "too few for a horizon of 5", DataError),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path: Path, changes: dict[str, object], text: str, kind: type) -> None:
    with pytest.raises(kind, match=text):
        tune(tmp_path, **changes)


def compare(folder: Path, market: Market, entries: dict[str, BestEntry], **changes: object) -> list[Promotion]:
    told: dict[str, object] = {"since": None, "every": 2, "refit_every": 60, "cache": None, "n_jobs": 1}
    found, failures = compare_bests(
        market,
        entries,
        read_entries(folder),
        History(folder),
        reporter=Silence(),
        **(told | changes),  # type: ignore[arg-type]
    )
    assert failures == {}
    return found


def make_momentum_market() -> Market:
    """A market in which each symbol drifts by its own constant: persistence is far from the best forecast."""
    market = make_random_market(900, 4)
    drift = np.array([0.004, -0.003, 0.005, 0.0]) * np.arange(900)[:, None]
    fields = {name: getattr(market, name) * np.exp(drift) for name in ("open", "high", "low", "close")}
    return replace(market, **fields)


def test_a_better_one_is_promoted_once_and_a_worse_one_never(tmp_path: Path) -> None:
    market = make_momentum_market()
    found = tune(tmp_path, market, symbols=("S0",), families=choose_families(["naive", "ridge"]))
    assert found.entries["S0"].analyst["kind"] == "ridge"
    registry = tmp_path / "registry"
    (first,) = compare(registry, market, dict(found.entries))
    assert (first.decision, first.old.kind, first.n_looks) == ("better", "naive", 1)
    assert first.gain_pct > 0 and first.p < 0.05
    write_entries(registry, [found.entries["S0"]])
    (again,) = compare(registry, market, dict(found.entries))
    assert again.decision == "the same"
    worse = found.entries["S0"].model_copy(update={"analyst": NaiveSettings(horizons=(5,)).model_dump(mode="json")})
    (refused,) = compare(registry, market, {"S0": worse})
    assert refused.decision == "worse" and refused.n_looks == 2
    assert read_entries(registry)["S0"].analyst["kind"] == "ridge"


def test_the_gain_is_that_of_the_losses(tmp_path: Path) -> None:
    market = make_momentum_market()
    found = tune(tmp_path, market, symbols=("S0",), families=choose_families(["naive", "ridge"]))
    (item,) = compare(tmp_path / "registry", market, dict(found.entries))
    assert item.gain_pct == pytest.approx(100 * (1 - item.new_scores.mae_pct / item.old_scores.mae_pct))
    assert item.old_scores.mae_pct == pytest.approx(item.old_scores.naive_mae_pct)
    assert item.new_scores.first > found.entries["S0"].validation.last


def test_a_symbol_that_cannot_be_compared_costs_itself_alone(tmp_path: Path) -> None:
    market = make_momentum_market()
    found = tune(tmp_path, market, families=choose_families(["naive", "ridge"]))
    tradable = market.tradable.copy()
    tradable[790:, market.index_of("S1")] = False
    promotions, failures = compare_bests(
        replace(market, tradable=tradable),
        dict(found.entries),
        {},
        History(tmp_path / "registry"),
        since=market.dates[790],
        every=2,
        refit_every=60,
        cache=None,
        n_jobs=1,
        reporter=Silence(),
    )
    assert [item.symbol for item in promotions] == ["S2"]
    assert failures == {"S1": "there is no window with an outcome: it is not traded there"}


def test_every_comparison_is_a_look(tmp_path: Path) -> None:
    market = make_momentum_market()
    found = tune(tmp_path, market, symbols=("S0",), families=choose_families(["naive", "ridge"]))
    looks = [compare(tmp_path / "registry", market, dict(found.entries), every=n)[0].n_looks for n in (2, 3, 4, 2)]
    assert looks == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ("{lstm: {fitting.nonsense: {kind: real, low: 0, high: 1}}}", "has no setting 'fitting.nonsense'"),
        ("{lstm: {hidden_size.x: {kind: whole, low: 1, high: 2}}}", "has no setting 'hidden_size.x'"),
        ("{lstm: {fields: {kind: real, low: 0, high: 1}}}", "does not suit 'fields'"),
        ("{ridge: {features: {kind: whole, low: 0, high: 1}}}", "does not suit 'features'"),
        ("{lstm: {hidden_size: {kind: whole, low: 8, high: 99999}}}", "99999 does not suit 'hidden_size'"),
    ],
)
def test_a_space_that_the_analyst_would_refuse_is_refused_before_the_search(
    tmp_path: Path, space: str, text: str
) -> None:
    (tmp_path / "space.yaml").write_text(space)
    with pytest.raises(ConfigError, match=text):
        choose_families(None, tmp_path / "space.yaml")


def test_a_holdout_inside_the_validation_range_is_refused(tmp_path: Path) -> None:
    found = tune(tmp_path)
    with pytest.raises(ConfigError, match="was chosen on sessions until"):
        compare(tmp_path / "registry", MARKET, dict(found.entries), since=MARKET.dates[500])


def test_rolling_back_restores_what_was_replaced_and_removes_what_was_new(tmp_path: Path) -> None:
    found = tune(tmp_path / "search")
    registry = tmp_path / "registry"
    old = found.entries["S1"].model_copy(update={"trial": 99})
    write_entries(registry, [old])
    write_entries(registry, found.entries.values())
    assert roll_back(registry) == {"restored": ["S1"], "removed": ["S2"]}
    assert read_entries(registry) == {"S1": old}
    assert roll_back(registry) == {"restored": [], "removed": ["S1"]}
    with pytest.raises(CheckpointError, match="nothing was written"):
        roll_back(registry)


def run_command(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "alfred", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.slow
def test_the_commands_survive_sigkill_and_agree(tmp_path: Path) -> None:
    write_market(tmp_path / "prices.csv", make_random_market(700, 4))
    told = [
        "tune",
        "analysts",
        "--set",
        "data.path=prices.csv",
        "--symbols",
        "S1,S2",
        "--trials",
        "8",
        "--workers",
        "2",
    ]
    told += ["--families", "naive,momentum,ridge", "--set", "forecast.refit_every_days=60", "--json"]
    journal = tmp_path / "runs/tuning/analysts/journal.log"
    process = run_command(*told, folder=tmp_path)
    for _ in range(1200):
        if journal.exists() and len(journal.read_text().splitlines()) > 60:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    storage = open_storage(str(journal))
    finished = {
        (name, t.number): t.value
        for name in find_studies(storage)
        for t in load_study(storage, name).get_trials(states=(TrialState.COMPLETE,))
    }
    process = run_command(*told, folder=tmp_path)
    out, error = process.communicate()
    assert process.returncode == 0, error
    best = json.loads(out)["best"]
    storage = open_storage(str(journal))
    for (name, number), value in finished.items():
        assert load_study(storage, name).trials[number].value == value
    assert {item["n_trials"] for item in best.values()} == {8}

    for expected in (["S1", "S2"], []):
        process = run_command("promote", "--set", "data.path=prices.csv", "--apply", "--json", folder=tmp_path)
        out, error = process.communicate()
        assert process.returncode == 0, error
        assert set(json.loads(out)["written"]) <= set(expected)

    process = run_command(*told[:-1], "--mode", "tpa", folder=tmp_path)
    _, error = process.communicate()
    assert process.returncode == 2 and "Did you mean 'tpe'?" in error and "Traceback" not in error
