"""Completion in the shells themselves: installed by name, started afresh, and a TAB pressed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shells import ask_fish, make_home, press

# What is typed, and the words that the line then has: an X behind the TAB shows whether a blank came first.
TYPED = [
    ("alfred eval\tX", ["alfred", "evaluate", "X"]),
    ("alfred run --set env.rew\tX", ["alfred", "run", "--set", "env.reward.X"]),
    ("alfred run --set env.execution=next_o\tX", ["alfred", "run", "--set", "env.execution=next_open", "X"]),
    ("alfred run --set env.reward.risk_aversion=\tX", ["alfred", "run", "--set", "env.reward.risk_aversion=10.0", "X"]),
    ("alfred run --set=env.rew\tX", ["alfred", "run", "--set=env.reward.X"]),
    ("alfred explain runs/demo --agent=\tX", ["alfred", "explain", "runs/demo", "--agent=mine", "X"]),
    ("alfred evaluate runs/my\tX", ["alfred", "evaluate", "runs/my run", "X"]),
    ("alfred evaluate 'runs/my\tX", ["alfred", "evaluate", "runs/my run", "X"]),
    ("alfred evaluate runs/my\\ r\tX", ["alfred", "evaluate", "runs/my run", "X"]),
    ("alfred run here\tX", ["alfred", "run", "here.yaml", "X"]),
]
FISH = [
    ("alfred eval", "evaluate"),
    ("alfred run --set env.rew", "env.reward."),
    ("alfred run --set env.execution=next_o", "env.execution=next_open"),
    ("alfred run --set=env.execution=next_o", "--set=env.execution=next_open"),
    ("alfred explain runs/demo --agent=", "--agent=mine"),
    ("alfred evaluate 'runs/my", "runs/my run"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> tuple[dict[str, str], Path]:
    """A home with alfred on the path, and a folder with runs."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "work"
    for name in ("demo", "my run"):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        (run / "config.yaml").write_text("agents: [{kind: ppo, name: mine}]\n")
    (folder / "here.yaml").write_text("name: x\n")
    return make_home(home), folder


def install(shell: str, environment: dict[str, str]) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    asked = ["bash", "-c", f"alfred --install-completion {shell}"]  # whatever it is called from
    return subprocess.run(asked, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tab_completes(place, shell) -> None:
    environment, folder = place
    assert f"{shell} completes alfred" in install(shell, environment)
    install(shell, environment)  # a second time adds no line
    rows = (Path(environment["HOME"]) / f".{shell}rc").read_text().splitlines()
    assert len(rows) == 1
    assert {line: press(shell, line, environment, folder) for line, _ in TYPED} == dict(TYPED)


def test_fish_offers(place) -> None:
    environment, folder = place
    assert "fish completes alfred" in install("fish", environment)
    assert {line: ask_fish(line, environment, folder) for line, _ in FISH} == {line: [word] for line, word in FISH}


def test_a_shell_that_is_none_is_refused(place) -> None:
    environment, _ = place
    command = ["alfred", "--install-completion", "zhs"]
    asked = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert asked.stderr == "error: 'zhs' has no completion; name one of bash, zsh, fish. Did you mean 'zsh'?\n"


def test_lines_of_a_users_own_settings_stay(place, tmp_path) -> None:
    environment = {**place[0], "HOME": str(tmp_path)}
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'")  # with no end of the line
    install("bash", environment)
    assert (tmp_path / ".bashrc").read_text().splitlines()[0] == "alias ll='ls -l'"


@pytest.mark.parametrize("columns", [60, 80])
def test_help_cuts_no_word(place, columns) -> None:
    environment = {**place[0], "COLUMNS": str(columns)}
    for command in ([], ["tune", "models"], ["data", "uncorrelated"], ["dashboard"]):
        line = ["alfred", *command, "--help"]
        asked = subprocess.run(line, check=True, env=environment, capture_output=True, text=True)
        assert "…" not in asked.stdout
        assert "--install-completion " in asked.stdout or command
