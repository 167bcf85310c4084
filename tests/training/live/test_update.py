"""`alfred update`: what is new is added, what was known is compared, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.config import parse_experiment
from alfred.data.signals import Signals
from alfred.training.live.opened import open_live
from alfred.training.live.restated import compare_bars, load_bars, save_bars
from alfred.training.live.schedule import count_until_refit, extend_folds
from alfred.training.prepared import cut_folds
from tests.commands import refuse
from tests.training.live.market import N_FIRST, extend, make_market, run_cli

MARKET = make_market()
DATES = [str(date.date()) for date in MARKET.dates]


def change_prices(folder: Path, date: str, symbol: str, field: str, factor: float) -> None:
    table = pd.read_csv(folder / "prices.csv")
    row = (table["date"] <= date if date == DATES[-1] else table["date"] == date) & (table["symbol"] == symbol)
    table.loc[row, field] *= factor
    table.to_csv(folder / "prices.csv", index=False)


def read_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "live" not in path.relative_to(folder).parts
    }


def test_new_bars_are_added_and_what_was_judged_stays(run, tmp_path) -> None:
    before = read_files(run)
    extend(tmp_path, 600)
    stale = json.loads(run_cli("allocate", run, "--json"))
    assert any("alfred update" in note for note in stale["notes"])
    assert stale["date"] == DATES[N_FIRST - 1]
    told = json.loads(run_cli("update", run, "--json"))
    assert (told["before"], told["until"], told["n_new"]) == (DATES[559], DATES[599], 40)
    assert told["restated"] == []
    assert told["rescaled"] == {}
    assert read_files(run) == before
    earlier, later = Signals.load(run / "signals.parquet"), Signals.load(run / "live" / "signals.parquet")
    assert later.names == earlier.names
    np.testing.assert_array_equal(later.values[: len(earlier.dates)], earlier.values)
    assert list(later.dates[len(earlier.dates) :]) == list(MARKET.dates[560:600])
    assert (later.trained_until < later.dates.to_numpy()[:, None]).any()
    again = json.loads(run_cli("update", run, "--json"))
    assert again["n_new"] == 0
    assert again["refitted"] == []
    run_cli("evaluate", run, "--set", f"data.path={_write_first(tmp_path)}")


def _write_first(folder: Path) -> Path:
    place = folder / "first"
    place.mkdir()
    extend(place, N_FIRST)
    return place / "prices.csv"


def test_signals_are_those_of_a_run_on_all_the_bars(run, tmp_path) -> None:
    """Added in three steps, they are what a single run on all bars makes."""
    from tests.training.small import make_small, run_small

    for known in (575, 576, 640):
        extend(tmp_path, known)
        run_cli("update", run)
    whole, _, _ = run_small(tmp_path / "whole", make_small(tmp_path / "prices.csv"), judge=False)
    found = open_live(run).prepared.signals
    assert found.names == whole.signals.names
    np.testing.assert_array_equal(found.values, whole.signals.values)
    np.testing.assert_array_equal(
        found.trained_until.astype("datetime64[s]"), whole.signals.trained_until.astype("datetime64[s]")
    )


def test_only_new_forecasts_are_made(run, tmp_path) -> None:
    cache = next(iter((tmp_path / "runs").rglob("levels.json"))).parent.parent
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    extend(tmp_path, 561)
    run_cli("update", run)
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before  # no fit and no piece was made again
    new = [path for path in after if path not in before]
    # The block that began at row 559 is one piece for each of two analysts, with its fit.
    assert len({path.parent for path in new if path.suffix == ".npy"}) == 2


def test_agents_are_refitted_when_their_fold_is_over(run, tmp_path) -> None:
    first = json.loads(run_cli("update", run, "--json"))
    assert [line.split(":")[0] for line in first["refitted"]] == ["direct fold 2 seed 0"]
    length = first["next_refit_in"]
    policy = (run / "live" / "agents" / "direct" / "fold2" / "seed0" / "policy.safetensors").read_bytes()
    extend(tmp_path, N_FIRST + length - 1)
    second = json.loads(run_cli("update", run, "--json"))
    assert (second["refitted"], second["next_refit_in"]) == ([], 1)
    extend(tmp_path, N_FIRST + length)
    third = json.loads(run_cli("update", run, "--json"))
    assert [line.split(":")[0] for line in third["refitted"]] == ["direct fold 3 seed 0"]
    assert third["next_refit_in"] == length
    # What was trained is not trained again.
    assert (run / "live" / "agents" / "direct" / "fold2" / "seed0" / "policy.safetensors").read_bytes() == policy


def test_folds_go_on_as_if_they_had_been_cut_so(run) -> None:
    experiment = open_live(run).prepared.experiment
    base = cut_folds(MARKET.until(MARKET.dates[N_FIRST - 1]), experiment)
    folds = extend_folds(base, MARKET.dates, experiment)
    assert folds[:2] == base
    length = len(MARKET.dates[(MARKET.dates >= base[-1].test[0]) & (MARKET.dates <= base[-1].test[1])])
    for number, fold in enumerate(folds[2:]):
        start = N_FIRST + number * length
        # Trained and chosen on what came before, with the same gaps as the folds of the run.
        assert fold.test[0] > MARKET.dates[start - 1]
        assert fold.test[0] <= MARKET.dates[start]
        rows = [MARKET.dates.get_loc(date) for date in (*fold.train, *fold.validation)]
        assert rows[3] == start - 1 - 2
        assert rows[3] - rows[2] + 1 == experiment.splits.validation_days
        assert rows[2] - rows[1] - 1 == 2
    assert count_until_refit(folds, base, MARKET.dates) == length - (680 - N_FIRST - (len(folds) - 3) * length)
    rolling = parse_experiment(
        {
            **json.loads(experiment.model_dump_json(exclude={"env"})),
            "splits": {**experiment.splits.model_dump(), "train_days": 70},
        }
    )
    later = extend_folds(base, MARKET.dates, rolling)[-1]
    assert MARKET.dates.get_loc(later.train[1]) - MARKET.dates.get_loc(later.train[0]) + 1 == 70


def test_restated_bars_are_named_with_old_and_new(run, tmp_path) -> None:
    run_cli("update", run)
    old = float(pd.read_csv(tmp_path / "prices.csv").query("date == @DATES[500] and symbol == 'S1'")["close"].iloc[0])
    extend(tmp_path, 570)
    change_prices(tmp_path, DATES[500], "S1", "close", 1.002)
    message = refuse("update", run)
    assert "1 bar(s) were restated" in message
    assert f"close of S1 on {DATES[500]}: {old:.10g} before, {1.002 * old:.10g} now" in message
    assert "alfred update" in refuse("allocate", run)
    told = json.loads(run_cli("update", run, "--json", "--accept-restated"))
    [item] = told["restated"]
    assert (item["symbol"], item["date"], item["field"]) == ("S1", DATES[500], "close")
    assert (item["old"], item["new"]) == (pytest.approx(old), pytest.approx(1.002 * old))
    assert told["until"] == DATES[569]
    assert json.loads(run_cli("update", run, "--json"))["restated"] == []


@pytest.mark.parametrize(
    ("factor", "rows"), [(100.0, slice(563, 564)), (0.25, slice(563, None)), (0.5, slice(564, None))]
)
def test_a_new_close_that_is_off_by_a_factor_is_refused(run, tmp_path, factor: float, rows: slice) -> None:
    extend(tmp_path, 565)
    table = pd.read_csv(tmp_path / "prices.csv")
    off = (table["symbol"] == "S1") & table["date"].isin(DATES[rows])
    table.loc[off, ["open", "high", "low", "close"]] *= factor
    table.to_csv(tmp_path / "prices.csv", index=False)
    line = refuse("update", run)
    assert f"on {DATES[rows.start]}" in line and "--accept-jumps" in line
    assert not (run / "live" / "state.json").exists()
    told = json.loads(run_cli("update", run, "--accept-jumps", "--json"))
    assert told["n_new"] == 5
    assert any("it was accepted" in note for note in told["notes"])
    # What is known already is not asked for again.
    assert json.loads(run_cli("update", run, "--json"))["n_new"] == 0


def test_an_adjustment_is_no_restatement(run, tmp_path) -> None:
    run_cli("update", run)
    for field in ("open", "high", "low", "close"):
        change_prices(tmp_path, DATES[-1], "S0", field, 0.98)
    told = json.loads(run_cli("update", run, "--json"))
    assert told["restated"] == []
    assert told["rescaled"] == {"S0": pytest.approx(0.98)}
    shown = run_cli("allocate", run, "--cash", "1000")
    assert "S0" in shown


def test_bars_of_a_run_that_was_never_updated_cannot_be_named(run, tmp_path) -> None:
    change_prices(tmp_path, DATES[500], "S1", "close", 1.002)
    assert "no bars were kept" in refuse("update", run)
    assert "are not what" in refuse("allocate", run)
    told = json.loads(run_cli("update", run, "--json", "--accept-restated"))
    assert "not those that the run was made from" in " ".join(told["notes"])


def test_a_comparison_finds_every_kind_of_change(tmp_path) -> None:
    market = MARKET.until(MARKET.dates[99])
    save_bars(market, tmp_path / "bars.parquet")
    earlier = load_bars(tmp_path / "bars.parquet")
    assert compare_bars(earlier, market) == compare_bars(earlier, market.copy())
    assert not compare_bars(earlier, market).restated
    shorter = market.copy()
    assert [item.field for item in compare_bars(earlier, shorter.since(market.dates[1])).restated] == ["session"]
    changed = market.copy()
    changed.volume[7, 2] += 1.0
    changed.close[8, 1] = np.nan
    found = compare_bars(earlier, changed).restated
    assert [(item.symbol, item.field, item.date) for item in found] == [
        ("S2", "volume", DATES[7]),
        ("S1", "close", DATES[8]),
    ]
    assert found[1].new is None
    assert "none now" in str(found[1])
    for array in (changed.open, changed.high, changed.low, changed.close):
        array[:50, 0] *= 2.0  # half of the history: returns change, so it is no adjustment
    assert {item.symbol for item in compare_bars(earlier, changed).restated} == {"S0", "S1", "S2"}


def test_bad_updates_are_one_line(run, tmp_path) -> None:
    assert "holds no run" in refuse("update", tmp_path / "nothing")
    assert "cannot change what is done already" in refuse("update", run, "--set", "env.cost_bps=3")
    extend(tmp_path, 600)
    run_cli("update", run)
    extend(tmp_path, 590)
    assert f"the data end {DATES[589]}" in refuse("update", run)
    assert f"the data end {DATES[589]}" in refuse("allocate", run)
    (run / "live" / "state.json").write_text("{", encoding="utf-8")
    assert "is damaged" in refuse("update", run)
    assert json.loads(run_cli("update", run, "--fresh", "--json"))["until"] == DATES[589]
    table = pd.read_csv(tmp_path / "prices.csv")
    table[table["symbol"] != "S2"].to_csv(tmp_path / "prices.csv", index=False)
    assert "the data no longer hold S2" in refuse("update", run)


def test_a_symbol_more_changes_nothing_and_a_place_is_remembered(run, tmp_path) -> None:
    extend(tmp_path, 600)
    table = pd.read_csv(tmp_path / "prices.csv")
    table["date"] = table["date"].astype(str)
    other = table[table["symbol"] == "S0"].assign(symbol="NEW")
    moved = tmp_path / "moved"
    moved.mkdir()
    pd.concat([other, table]).to_csv(moved / "prices.csv", index=False)
    shutil.move(tmp_path / "prices.csv", tmp_path / "gone.csv")
    told = json.loads(run_cli("update", run, "--set", f"data.path={moved / 'prices.csv'}", "--json"))
    assert told["n_new"] == 40
    assert json.loads(run_cli("allocate", run, "--json"))["date"] == DATES[599]
