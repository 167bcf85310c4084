"""Typical mistakes on the command line: each is one line that names the thing, the value and what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from alfred.keys.yaml_text import parse_yaml
from tests.commands import refuse

# Pydantic's and typer's own words, which say nothing to whoever typed the command.
FOREIGN = (
    "Input should", "extra_forbidden", "Extra inputs", "Value error", "value_error", "validation error", "pydantic",
    "Field required", "Traceback", "type=", "For further information", "╭", "│", "Usage:", "greater_than",
)  # fmt: skip


def of_run(*pairs: str) -> list[str]:
    return ["run", *(word for pair in pairs for word in ("--set", pair))]


# What was typed, and what the answer must hold.
MISTAKES: list[tuple[list[str], list[str]]] = [
    # keys in the wrong place, or with a letter wrong
    (of_run("lookback=3"), ["'lookback'", "Did you mean 'env.lookback'"]),
    (of_run("cost_bps=3"), ["'cost_bps'", "Did you mean 'env.cost_bps'"]),
    (of_run("gamma=0.5"), ["'gamma'", "Did you mean 'agents.0.gamma'"]),
    (of_run("n_seeds=5"), ["'n_seeds'", "Did you mean 'training.n_seeds'"]),
    (of_run("max_weight=0.1"), ["'max_weight'", "Did you mean 'env.constraints.max_weight'"]),
    (of_run("env.max_weight=0.1"), ["'env.max_weight'", "Did you mean 'env.constraints.max_weight'"]),
    (of_run("env.test_start=2020-01-01"), ["'env.test_start'", "Did you mean 'splits.test_start'"]),
    (of_run("agents.0.hidden_size=8"), ["'agents.0.hidden_size'", "Did you mean 'hidden'"]),
    (of_run("env.reward.risk_aversoin=1"), ["'env.reward.risk_aversoin'", "Did you mean 'risk_aversion'"]),
    (of_run("analysts.2.fitting.step=1"), ["'analysts.2.fitting.step'", "Did you mean 'steps'"]),
    (of_run("trainig.n_seeds=1"), ["'trainig'", "Did you mean 'training'"]),
    # values
    (of_run("agents.0.gamma=high"), ["agents.0.gamma", "'high'", "a number of 0 or more and below 1"]),
    (of_run("agents.0.gamma=1"), ["agents.0.gamma", "got 1", "below 1"]),
    (of_run("env.cost_bps=-1"), ["env.cost_bps", "-1", "0 or more"]),
    (of_run("training.n_seeds=1.5"), ["training.n_seeds", "1.5", "a whole number"]),
    (of_run("training.n_seeds=0"), ["training.n_seeds", "got 0", "1 or more"]),
    (of_run("seed=two"), ["seed", "'two'", "a whole number of 0 or more"]),
    (of_run("env.execution=next_opn"), ["env.execution", "next_opn", "next_close", "Did you mean 'next_open'"]),
    (of_run("env.action.mode=longshort"), ["env.action.mode", "simplex", "Did you mean 'long_short'"]),
    (of_run("env.reward.kind=exces"), ["env.reward.kind", "growth", "Did you mean 'excess'"]),
    (of_run("env.risk.stop_loss_at=open"), ["env.risk.stop_loss_at", "'open'", "touch, close"]),
    (of_run("features.normalise=ranks"), ["features.normalise", "zscore", "Did you mean 'rank'"]),
    (of_run("features.names=[momentun_1]"), ["features.names", "momentun_1", "Did you mean"]),
    (of_run("agents.0.kind=pppo"), ["agents.0", "'pppo'", "direct", "Did you mean 'ppo'"]),
    (of_run("analysts=[{kind: lstmm}]"), ["analysts.0", "'lstmm'", "Did you mean 'lstm'"]),
    (of_run("baselines=[{kind: momntum}]"), ["baselines.0", "Did you mean 'momentum'"]),
    (of_run("analysts.0.horizons=[5, x]"), ["analysts.0.horizons.1", "'x'", "whole numbers from 1"]),
    (of_run("analysts.0.horizons=5"), ["analysts.0.horizons", "a list of whole numbers", "got 5"]),
    (of_run("analysts.2.fields=[clos]"), ["analysts.2.fields.0", "'clos'", "Did you mean 'close'"]),
    (of_run("data.symbols=AAPL"), ["data.symbols", "a list of texts", "'AAPL'"]),
    (of_run("data.start=yesterday"), ["data.start", "'yesterday'", "YYYY-MM-DD"]),
    (of_run("data.news={}"), ["data.news.path", "it is missing", "a path"]),
    (of_run("blend=yes"), ["blend", "a mapping of keys", "True"]),
    (of_run("env=5"), ["env", "a mapping of keys", "got 5"]),
    (of_run("agents=[]"), ["agents", "at least 1 of them"]),
    (of_run("agents.5.gamma=0"), ["agents.5.gamma", "'5'", "from 0 to 1"]),
    (of_run("splits.train_days=10"), ["splits", "train_days 10", "min_train_days"]),
    (of_run("data.start=2020-01-01", "data.end=2019-01-01"), ["data", "2020-01-01", "swap them"]),
    (of_run("env.cost_bps"), ["--set", "env.cost_bps", "key=value"]),
    (of_run("data.source=embeded"), ["data.source", "embeded", "Did you mean 'embedded'"]),
    (of_run("data.symbols=[AAPLE]"), ["'AAPLE'", "Did you mean 'AAPL'"]),
    # files, runs and folders
    (["run", "configs/refrence.yaml"], ["refrence.yaml", "Did you mean 'configs/reference.yaml'"]),
    (["run", "config/reference.yaml"], ["config/reference.yaml", "Did you mean 'configs/reference.yaml'"]),
    (["run", "reference.yml"], ["reference.yml", "there is no such file"]),
    (["evaluate", "dmeo"], ["dmeo", "Did you mean 'runs/demo'"]),
    (["report", "demo"], ["demo", "Did you mean 'runs/demo'"]),
    (["evaluate", "run/demo"], ["run/demo", "Did you mean 'runs/demo'"]),
    (["trials", "rums"], ["rums", "Did you mean 'runs'"]),
    (["judge", "mines.csv"], ["mines.csv", "Did you mean 'mine.csv'"]),
    (["run", "--plugin", "min.py"], ["min.py", "Did you mean", "mine.py"]),
    (of_run("data.path=mines.csv"), ["mines.csv", "Did you mean 'mine.csv'"]),
    # commands and options
    (["rnu"], ["'rnu'", "demo", "Did you mean 'run'"]),
    (["analysts", "comapre"], ["'comapre'", "baseline", "Did you mean 'compare'"]),
    (["run", "--jsn"], ["--jsn", "--fresh", "Did you mean '--json'"]),
    (["evaluate"], ["argument", "path", "evaluate --help"]),
    (["doctor", "--seeds", "0"], ["--seeds", "1 or more", "'0'"]),
    (["doctor", "--seeds", "many"], ["--seeds", "a whole number", "'many'"]),
    (["data", "correlations", "--label", "magnitud"], ["--label", "direction", "Did you mean 'magnitude'"]),
    (["run", "--set"], ["--set", "requires an argument"]),
    (["config", "explain", "env.cst_bps"], ["env.cst_bps", "Did you mean 'env.cost_bps'"]),
    (["demo", "extra"], ["extra"]),
]


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "reference.yaml").write_text("name: mine\n")
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    for name in ("mine.csv", "mine.py"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("words", "expected"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_one_clear_line(work, words, expected) -> None:
    before = sorted(work.rglob("*"))
    line = refuse(*words)
    for text in expected:
        assert text in line
    for text in FOREIGN:
        assert text not in line
    assert sorted(work.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 1\nenv: {cost_bps: 1}\nseed: 2\n", "'seed' stands twice, in lines 1 and 3"),
        ("env:\n  cost_bps: 1\n  cost_bps: 2\n", "'cost_bps' stands twice, in lines 2 and 3"),
        ("agents: &a [*a]\n", "holds itself"),
        ("seed: 0x" + "f" * 6000 + "\n", "too many digits"),
        (
            "agents:\n" + "- &a0 [x, x]\n" + "".join(f"- &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 64)),
            "more than",
        ),
    ],
)
def test_yaml_that_drops_something_or_grows_without_end_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_yaml(text)


def test_merged_keys_and_aliases_are_yaml_as_before() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: *b, x: 4}\nd: [*a, *a]\ne: 0x1f\nf: 1_000\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("") is None


def test_what_a_name_holds_does_not_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text('"a\\nb\\e[31m": 1\n')
    line = refuse("config", "explain", "a\nb\x1b[31m")
    assert "\x1b" not in line and "a b\\x1b[31m" in line
    assert "a b\\x1b[31m" in refuse("run", path)
    assert "seed: it must be a whole number" in refuse("run", "--set", "seed=10000000000000")


def test_a_lack_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_root: Path) -> None:
        raise MemoryError("Unable to allocate 495. TiB")

    monkeypatch.setattr("alfred.training.catalogue.entries.list_entries", fail)
    assert "not enough memory (Unable to allocate 495. TiB)" in refuse("runs", "list")
