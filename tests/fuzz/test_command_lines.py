"""Words in any order: a command answers, or refuses on one line with exit code 2."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given

from alfred.config import load_experiment
from alfred.errors import AlfredError
from tests.commands import call
from tests.fuzz.damage import HOSTILE, chances, damage, many

COMMANDS = (
    *(
        "config",
        "runs list",
        "runs show",
        "runs remove",
        "runs clean",
        "compare",
        "report",
        "judge",
        "evaluate",
        "explain",
    ),
    *(
        "allocate",
        "update",
        "paper status",
        "paper report",
        "data",
        "analysts list",
        "analysts show",
        "tune report",
        "new",
    ),
    *("trials", "ablate", "experiments list", "experiments show", "sweep", "promote", "train", "run", "nonsense", ""),
)
WORDS = (
    *(
        "--json",
        "--set",
        "--runs",
        "--help",
        "-h",
        "--fresh",
        "--yes",
        "--plugin",
        "--defaults",
        "--schema",
        "--no-such",
    ),
    *(
        "env.cost_bps=nan",
        "agents=[",
        "agents=[{kind: ppo}]",
        "data.path=nowhere.csv",
        "name=../x",
        "a.b.c=1",
        "=",
        "env=",
    ),
    *("nowhere", ".", "..", "/", "mine.csv", "mine.yaml", "-1", "1e999", "", " ", "ü", "\u202e", "x" * 5_000),
)
KEYS = (
    "name",
    "env.cost_bps",
    "env.reward.kind",
    "agents.0.total_steps",
    "splits.n_folds",
    "data.symbols",
    "blend",
    "observe",
)


@many
@given(chance=chances)
def test_command_lines(
    chance: random.Random, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _make_folder(tmp_path_factory)
    monkeypatch.chdir(folder)
    # Data that are not there keep any command that is right from setting to work.
    words = [*chance.choice(COMMANDS).split(), *chance.sample(WORDS, chance.randint(0, 4))]
    if words[:1] in (["run"], ["train"], ["sweep"], ["promote"]):
        words += ["--set", "data.path=nowhere.csv"]
    result = call(*words)
    assert result.exit_code in (0, 2), (words, result.output)
    assert "Traceback" not in result.output


@many
@given(chance=chances)
def test_overrides(chance: random.Random) -> None:
    value = damage(chance.choice((b"ppo", b"1", b"[{kind: direct}]", b"{a: 1}", b"excess")), chance)
    key = chance.choice(KEYS)
    if chance.random() < 0.3:
        key = damage(key.encode(), chance).decode("utf-8", "replace")
    text = (
        value.decode("utf-8", "replace") if chance.random() < 0.7 else chance.choice(HOSTILE).decode("utf-8", "replace")
    )
    try:
        load_experiment(None, [f"{key}={text}"])
    except AlfredError as error:
        assert str(error).strip()


_FOLDERS: list[Path] = []


def _make_folder(factory: pytest.TempPathFactory) -> Path:
    if not _FOLDERS:
        _FOLDERS.append(factory.mktemp("lines"))
        (_FOLDERS[0] / "mine.csv").write_text("date,returns\n2020-01-01,0.1\n")
        (_FOLDERS[0] / "mine.yaml").write_text("name: mine\n")
    return _FOLDERS[0]
