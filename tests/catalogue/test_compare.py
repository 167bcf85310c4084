"""Runs side by side: the numbers against a plain recomputation, and what is refused or told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alfred.errors import ConfigError, DataError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.headline import Training
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.side_by_side.comparison import Comparison, JudgedRun, TrialCount, compare
from alfred.evaluation.side_by_side.configuration import ABSENT, SET, find_differences
from tests.commands import call, refuse
from tests.evaluation.conftest import draw_returns, make_backtest

QUICK = IntervalSettings(n_replicates=200)


def make_run(name: str, sharpes: tuple[float, ...] = (0.8, 0.5, 0.6), *, seed: int = 0, **changes: object) -> JudgedRun:
    start, n_days = str(changes.pop("start", "2015-01-02")), int(str(changes.pop("n_days", 400)))
    returns = draw_returns(n_days, list(sharpes), 0.8, seed)
    market = draw_returns(n_days, [0.5], 0.0, 7)[:, 0]
    names = ("ppo", "SPY", "equal weight")
    records = [
        make_backtest(series, title, start=start, benchmark=changes.get("market", market))
        for series, title in zip(returns.T, names, strict=True)
    ]
    changes.pop("market", None)
    told = {
        "agents": records[:1],
        "baselines": records[1:],
        "benchmark": "SPY",
        "equal_weight": "equal weight",
        "symbols": ("AAA", "BBB"),
        "config": {"name": name, "seed": 0},
    }
    return JudgedRun(name=name, **{**told, **changes})  # type: ignore[arg-type]


def put(*runs: JudgedRun, trials: TrialCount | None = None, **options: object) -> Comparison:
    return compare(runs, trials or TrialCount(1), intervals=QUICK, **options)  # type: ignore[arg-type]


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def test_numbers_are_those_of_a_plain_recomputation(made: Path) -> None:
    found = json.loads(call("compare", made / "one", made / "late", made / "two", "--json").stdout)
    tables = {name: read(made / name / "backtests" / "00-direct.parquet") for name in ("one", "two", "late")}
    # The first session of the record that begins last holds its first trade alone.
    start = max(table.index[0] for table in tables.values())
    inside = {name: table[table.index > start] for name, table in tables.items()}
    dates = inside["late"].index
    assert found["start"] == str(dates[0].date()) and found["end"] == str(dates[-1].date())
    assert found["n_sessions"] == len(dates) < len(tables["one"])
    rows = {row["name"]: row for row in found["results"]}
    assert list(rows) == ["one", "late", "two", "SPY", "equal weight"]
    sharpes = {}
    for name, table in inside.items():
        excess = table["net"] - table["cash_return"]
        sharpes[name] = float(np.sqrt(252) * excess.mean() / excess.std())
        wealth = (1 + table["net"]).cumprod()
        peak = np.maximum(wealth.cummax(), 1.0)
        row = rows[name]
        assert row["sharpe"] == pytest.approx(sharpes[name])
        assert row["cagr"] == pytest.approx(wealth.iloc[-1] ** (252 / len(table)) - 1)
        assert row["max_drawdown"] == pytest.approx((wealth / peak - 1).min())
        assert row["turnover"] == pytest.approx(table["turnover"].mean() * 252)
    for name in ("two", "late"):
        assert rows[name]["sharpe_minus_reference"] == pytest.approx(sharpes[name] - sharpes["one"])
        low, high = rows[name]["sharpe_minus_reference_ci"]
        assert low - 1e-9 <= rows[name]["sharpe_minus_reference"] <= high + 1e-9  # `late` is `one` up to rounding
    assert "sharpe_minus_reference" not in rows["one"]
    left_out = {item["run"]: item["n_left_out"] for item in found["coverage"]}
    assert left_out == {name: len(tables[name]) - len(dates) for name in ("one", "late", "two")}


def test_runs_that_begin_together_are_compared_whole(made: Path) -> None:
    found = json.loads(call("compare", made / "one", made / "two", "--json").stdout)
    stored = {row["name"]: row for row in json.loads((made / "one" / "results.json").read_text())}
    own = {row["name"]: row for row in found["results"]}
    assert own["one"]["sharpe"] == stored["direct"]["sharpe"]
    assert own["SPY"]["cagr"] == stored["SPY"]["cagr"]
    assert all(item["n_left_out"] == 0 for item in found["coverage"])


def test_settings_that_differ_and_nothing_else(made: Path) -> None:
    found = json.loads(call("compare", made / "one", made / "two", "--json").stdout)
    assert found["settings"] == {
        "env.cost_bps": {"one": "5.0", "two": "20.0"},
        "agents": {"one": "direct", "two": "direct, second"},
        "agents.direct.horizon": {"one": "16", "two": "8"},
    }
    assert any("env.cost_bps" in caveat for caveat in found["caveats"])


def test_a_reference_of_ones_own_and_all_strategies(made: Path) -> None:
    found = json.loads(call("compare", made / "one", made / "two", "--to", "SPY", "--json").stdout)
    assert found["reference"] == "SPY" and found["results"][0]["name"] == "SPY"
    found = json.loads(call("compare", made / "two", "--all", "--to", "second", "--json").stdout)
    assert found["reference"] == "two: second"
    assert {row["strategy"] for row in found["results"]} == {"direct", "second", "SPY", "equal weight"}
    found = json.loads(call("compare", made / "one", made / "two", "--strategy", "second", "--json").stdout)
    first = found["results"][0]
    assert (first["run"], first["strategy"]) == ("two", "second")
    found = json.loads(call("compare", made / "one", made / "two", "--to", "two", "--json").stdout)
    assert found["reference"] == "two"


def test_the_log_of_trials_is_paid_for(made: Path) -> None:
    found = json.loads(call("compare", made / "one", made / "two", made / "late", "--json").stdout)
    assert found["n_trials"] == found["n_logged_trials"] == 4  # direct, direct, second, direct on other folds
    apart = json.loads(call("compare", made / "one", made / "late", "--json").stdout)
    assert apart["n_trials"] == 4  # what was tried in a run that is not shown was tried as well


def test_a_folder_of_runs_may_hold_other_things(made: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(made / name, tmp_path / name)
    (tmp_path / "tuning").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.yaml").write_text("name: new\n")
    (tmp_path / "again").symlink_to(tmp_path / "one")
    (tmp_path / "trials.jsonl").write_text("")
    found = json.loads(call("compare", *sorted(tmp_path.iterdir()), "--json").stdout)
    assert found["runs"] == ["one", "two"]
    assert found["n_trials"] == 3  # no log knows them
    left_out = [caveat for caveat in found["caveats"] if caveat.startswith("Left out")]
    assert len(left_out) == 2 and "holds no run" in " ".join(left_out)


def test_what_is_refused(made: Path, tmp_path: Path) -> None:
    assert "does not exist" in refuse("compare", made / "one", made / "nothing")
    assert "Did you mean 'two'?" in refuse("compare", made / "one", made / "two", "--to", "tow")
    assert "no strategy is called 'ppo'" in refuse("compare", made / "one", made / "two", "--strategy", "ppo")
    assert "no evaluated run" in refuse("compare", tmp_path)
    shutil.copytree(made / "one", tmp_path / "one")
    (tmp_path / "one" / "backtests" / "stage.json").unlink()
    assert "was not evaluated yet" in refuse("compare", tmp_path / "one", made / "two")
    shutil.copytree(made / "one", tmp_path / "torn")
    (tmp_path / "torn" / "backtests" / "00-direct.parquet").write_bytes(b"PAR1")
    assert "does not hold a backtest" in refuse("compare", tmp_path / "torn", made / "two")


def test_a_table_and_a_page(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "page.html"
    result = call("compare", made / "one", made / "two", "--output", page)
    assert result.exit_code == 0, result.output
    for word in ("one (direct)", "equal weight", "Settings that differ", "env.cost_bps", str(page)):
        assert word in result.stdout.replace("\n", " ") or word in result.stdout.replace("\n", "")
    body = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in body and "http://" not in body
    assert body.count("<svg") == 3  # wealth, drawdown, gains
    assert "env.cost_bps" in body and "one and two" in body
    assert "page.html" in call("compare", made / "one", "--output", tmp_path / "bare" / "page").output.replace("\n", "")
    assert [path.name for path in (tmp_path / "bare").iterdir()] == ["page.html"]
    assert "(Is a directory)" in refuse("compare", made / "one", "--output", ".")


def test_names_survive_on_a_narrow_screen(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from alfred import console

    narrow = Console(width=60, record=True)
    monkeypatch.setattr(console, "results", narrow)
    call("compare", made / "one", made / "two", made / "late", "--all")
    shown = narrow.export_text()
    assert all(len(line.rstrip()) <= 60 for line in shown.splitlines())
    for name in ("one: direct", "two: second", "SPY", "one: equal weight", "two: equal", "did not learn"):
        assert name in shown
    assert "…" not in shown


def test_names_of_outside_are_escaped() -> None:
    from alfred.evaluation.report.comparison_page import render_comparison

    hostile = "<script>alert('x')</script>"
    found = put(make_run("one"), make_run(hostile, seed=1, config={"name": "x", "note": hostile}))
    page = render_comparison(found)
    assert hostile not in page and "&lt;script&gt;alert" in page


def test_all_comparisons_are_one_family() -> None:
    runs = [make_run(f"run{number}", seed=number) for number in range(12)]
    found = put(*runs)
    for row in found.rows[1:]:
        assert row.versus.p_adjusted is not None
        assert row.versus.p_adjusted >= row.versus.p_value - 1e-12
    # Against itself there is nothing to tell.
    assert found.rows[0].numbers.sharpe_minus_benchmark == 0.0


def test_more_trials_make_a_verdict_harder() -> None:
    better = make_run("better", (3.5, 0.5, 0.6), seed=5)
    few = put(make_run("one", seed=4), better)
    many = put(make_run("one", seed=4), better, trials=TrialCount(1000))
    assert many.rows[1].versus.difference == few.rows[1].versus.difference
    assert many.rows[1].versus.deflated < few.rows[1].versus.deflated - 0.1


def test_what_did_not_learn_beats_nothing() -> None:
    kept = (Training(0, 0, 0, 0.0, 0.0, 0.1, 0.5),)
    found = put(make_run("one", seed=4), make_run("lucky", (3.0, 0.5, 0.6), seed=4, trainings={"ppo": kept}))
    assert found.rows[1].versus.outcome == "did not learn"


def test_no_shared_sessions() -> None:
    with pytest.raises(DataError, match=r"the runs share 0 sessions .one 2015-01-02 to .*, two 2020"):
        put(make_run("one"), make_run("two", start="2020-01-02"))
    with pytest.raises(DataError, match="needs 20 at least"):
        put(make_run("one"), make_run("two", n_days=15))


def test_few_sessions_are_told() -> None:
    found = put(make_run("one", n_days=60), make_run("two", n_days=60, seed=1))
    assert any("60 sessions are few" in caveat for caveat in found.caveats)


def test_other_benchmarks_calendars_and_data() -> None:
    with pytest.raises(DataError, match="two is judged against QQQ and one against SPY"):
        put(make_run("one"), make_run("two", benchmark="QQQ"))
    with pytest.raises(DataError, match=r"differ on .* shared sessions; compare runs on the same data"):
        put(make_run("one"), make_run("two", market=draw_returns(400, [0.5], 0.0, 8)[:, 0]))
    restated = draw_returns(400, [0.5], 0.0, 7)[:, 0]
    restated[200] += 0.01
    found = put(make_run("one"), make_run("two", market=restated, seed=1))
    assert any("differ on 1 of 399 shared sessions" in caveat for caveat in found.caveats)
    one, two = make_run("one"), make_run("two", start="2015-01-05", seed=1)
    kept = np.arange(400) != 100
    agents = [_keep(record, kept) for record in two.agents]
    other = make_run("two", start="2015-01-05", agents=agents, baselines=[_keep(item, kept) for item in two.baselines])
    with pytest.raises(DataError, match="1 are in one alone, the first 2015-05-25"):
        put(one, other)


def _keep(record: Backtest, kept: np.ndarray) -> Backtest:
    names = ("weights", "gross", "costs", "net", "turnover", "benchmark", "cash_return")
    return replace(record, dates=record.dates[kept], **{name: getattr(record, name)[kept] for name in names})


def test_equal_weight_of_another_universe_is_shown() -> None:
    found = put(make_run("one"), make_run("two", seed=1, symbols=("AAA", "CCC")))
    names = [row.name for row in found.rows]
    assert names == ["one", "two", "SPY", "one: equal weight", "two: equal weight"]
    assert any("2 of them not shared" in caveat for caveat in found.caveats)


def test_nothing_to_compare() -> None:
    alone = make_run("one", agents=make_run("one").agents, baselines=())
    with pytest.raises(ConfigError, match="nothing to compare one with"):
        put(alone)


def test_differences_of_configurations() -> None:
    first = {
        "name": "a",
        "env": {"cost_bps": 5.0, "risk": {"stop": None}},
        "agents": [{"kind": "ppo", "name": None, "gamma": 0.8}, {"kind": "direct", "name": "d", "x": 1}],
        "blend": None,
        "data": {"symbols": ["A", "B"]},
        "observe": None,
    }
    second = {
        "name": "b",
        "env": {"cost_bps": 10.0, "risk": {"stop": None}},
        "agents": [{"kind": "ppo", "name": None, "gamma": 0.5}],
        "blend": {"name": "blend", "min_days": 3},
        "data": {"symbols": ["A"]},
        "observe": None,
    }
    found = {item.key: item.values for item in find_differences([first, second])}
    assert found == {
        "env.cost_bps": ("5.0", "10.0"),
        "agents": ("ppo, d", "ppo"),
        "agents.ppo.gamma": ("0.8", "0.5"),
        "blend": ("null", SET),
        "data.symbols": ('["A", "B"]', '["A"]'),
    }
    third = {**second, "blend": {"name": "blend", "min_days": 4}}
    found = {item.key: item.values for item in find_differences([first, second, third])}
    assert found["blend.min_days"] == (ABSENT, "3", "4")
    assert find_differences([first, first]) == []


def test_a_run_with_a_return_that_is_not_finite_is_left_out(made: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "late"):
        shutil.copytree(made / name, tmp_path / name)
    path = min((tmp_path / "two" / "backtests").glob("*.parquet"))
    record = Backtest.load(path)
    replace(record, net=np.where(np.arange(len(record.dates)) == 5, np.inf, record.net)).save(path)
    places = [tmp_path / name for name in ("one", "two", "late")]
    found = json.loads(call("compare", *places, "--json").stdout)
    assert found["runs"] == ["one", "late"]
    assert any("not finite; run `alfred evaluate" in caveat for caveat in found["caveats"])
