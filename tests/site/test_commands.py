"""Every command that README and docs show can be given, and those of the README are run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from alfred.cli import app
from alfred.config import load_experiment
from tests.conftest import ROOT, make_random_market
from tests.site.blocks import Shell, list_commands, read_blocks
from tests.training.small import write_market

README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

# What makes a run one of seconds, given after what the README says.
SMALL = [
    "analysts=[{kind: naive, horizons: [1]}, {kind: momentum, horizons: [1]}]",
    "features={names: [momentum_1]}",
    "forecast={min_train_days: 260, refit_every_days: 100}",
    "splits={n_folds: 1, min_train_days: 60, validation_days: 40, embargo_days: 0}",
    "agents=[{kind: direct, total_steps: 256, n_portfolios: 8, episode_length: 32, validate_every: 256, "
    "validation_blocks: 1}]",
    "baselines=[]",
    "training={n_seeds: 1, n_jobs: 1}",
    "intervals.n_replicates=100",
]
OWN = "analysts=[{kind: my_reversal, horizons: [1]}]"
BUDGETS = {
    "doctor": ["--steps", "256"],
    "tune analysts": ["--trials", "1", "--workers", "1", "--symbols", "S0", "--families", "naive"],
    "explain": ["--shifts", "5"],
    "ablate": ["--shifts", "5"],
}


def split_line(line: str) -> list[list[str]]:
    """Return the commands of a line, which `&&`, `|` and `||` separate, as words without a remark."""
    words = shlex.split(line, comments=True)
    commands: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "||", "|"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command and command[0] == "alfred"]


class GoneError(Exception):
    """A command, option or argument that does not exist."""


def find_command(words: list[str]) -> tuple[str, Any, list[str]]:
    """Return the name of a command, the command, and its arguments.

    Raises:
        GoneError: There is none of that name.
    """
    command, rest = typer.main.get_command(app), words[1:]
    names: list[str] = []
    while (inside := getattr(command, "commands", None)) and rest and not rest[0].startswith("-"):
        names.append(rest[0])
        if rest[0] not in inside:
            raise GoneError(f"there is no alfred {' '.join(names)}")
        command, rest = inside[rest[0]], rest[1:]
    return " ".join(names), command, rest


def check_parses(words: list[str]) -> None:
    """Parse a command without running it.

    Raises:
        GoneError: The command, an option or an argument is gone.
    """
    name, command, rest = find_command(words)
    if {"-h", "--help"} & set(rest):
        return
    try:
        command.make_context(name, list(rest))
    except Exception as error:
        # Which class says so depends on the version of typer; all of them write a message for the user.
        if not hasattr(error, "format_message"):
            raise
        raise GoneError(error.format_message()) from error


def list_lines(page: Path) -> list[str]:
    return [line for line in list_commands(page) if re.match(r"alfred |[^|]*&& alfred ", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_parse(page: Path) -> None:
    for line in list_lines(page):
        for words in split_line(line):
            try:
                check_parses(words)
            except GoneError as error:
                pytest.fail(f"{page.name}: {line}: {error}")


@pytest.mark.parametrize(
    "line", ["alfred runn a.yaml", "alfred run --fast", "alfred tune agents --trials many", "alfred judge"]
)
def test_what_is_gone_is_found(line: str) -> None:
    with pytest.raises(GoneError):
        check_parses(split_line(line)[0])


def test_settings_of_the_readme_are_known(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    checked = 0
    for words in (words for line in list_lines(README) for words in split_line(line)):
        given = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
        if given and "--plugin" not in words:
            configs = [Path(word) for word in words if word.endswith(".yaml")]
            load_experiment(configs[0] if configs else None, given)
            checked += 1
    assert checked >= 5


def test_make_targets_of_the_readme_exist() -> None:
    targets = {word for line in list_commands(README) for word in re.findall(r"^make (\w+)", line)}
    assert {"demo", "test", "docs"} <= targets
    known = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= known


def cut(words: list[str]) -> list[str]:
    """Return a command with a small budget."""
    name, command, _ = find_command(words)
    options = {option for parameter in command.params for option in parameter.opts}
    small = []
    # What is done on a run has the settings of the run.
    if "--set" in options and name != "data describe" and not any(word.startswith("runs/") for word in words):
        pairs = [*SMALL, OWN] if "--plugin" in words else SMALL
        small = [word for pair in pairs for word in ("--set", pair)]
    return [*words, *small, *BUDGETS.get(name, [])]


@pytest.mark.slow
def test_the_figures_of_the_readme(tmp_path) -> None:
    (line,) = (line for line in list_lines(README) if line.startswith("alfred demo"))
    said = Shell(tmp_path).run(f"{line} --json 2> /dev/null")
    found = {row["name"]: row for row in json.loads(said)["results"]}
    printed = re.findall(
        r"^\| ([^|]+) \| (-?\d[^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", README.read_text(), re.M
    )
    assert len(printed) == 7
    for name, sharpe, *cells in printed:
        row = found[name]
        wanted = [row["sharpe"], *row["sharpe_ci"], 100 * row["cagr"], 100 * row["max_drawdown"], row["turnover"]]
        if name != "SP500TR":
            wanted += [row["sharpe_minus_benchmark"], *row["sharpe_minus_benchmark_ci"]]
        numbers = re.findall(
            r"[-+−]?\d+(?:\.\d+)?", " ".join((re.sub(r"\(.*", "", sharpe), sharpe.partition("(")[2], *cells))
        )
        assert len(numbers) == len(wanted), (name, numbers)
        for number, value in zip(numbers, wanted, strict=True):
            unit = 10.0 ** -len(number.partition(".")[2])
            assert float(number.replace("−", "-")) == pytest.approx(value, abs=unit), (name, number, value)


@pytest.mark.slow
def test_the_readme_runs(tmp_path) -> None:
    shell = Shell(tmp_path)
    market = make_random_market(700)
    write_market(shell.folder / "prices.csv", market)
    (shell.folder / "configs").symlink_to(ROOT / "configs")
    dates = pd.bdate_range("2015-01-01", periods=300)
    for name, n in (("mine.csv", 0), ("SPY.csv", 3)):
        pd.DataFrame({"date": dates, "close": market.close[:300, n]}).to_csv(shell.folder / name, index=False)
    ran = 0
    for line in (line.replace("PRICES", "prices.csv") for line in list_commands(README)):
        if line.startswith("make "):
            continue
        commands = split_line(line)
        if not commands:
            shell.run(line)
        # The demo is compared with the table above; a server goes on until it is stopped.
        for words in (words for words in commands if words[1] not in ("demo", "serve")):
            shell.run(" ".join(word if word == "runs/*" else shlex.quote(word) for word in cut(words)))
            ran += 1
    assert ran >= 15
    assert (shell.folder / "runs" / "mine" / "report.html").is_file()
    assert (shell.folder / "judged" / "mine" / "report.html").is_file()
    (code,) = (block.text for block in read_blocks(README) if block.language == "python")
    # What a reader brings: closes and a signal; and fewer steps.
    before = (
        "import numpy as np\nimport pandas as pd\nimport alfred as _alfred\n"
        "_all = _alfred.load_market(start='2014-01-01')\n"
        "closes = pd.DataFrame(_all.close, index=_all.dates, columns=_all.symbols).rename(columns={'SP500TR': 'SPY'})\n"
        "momentum = np.log(closes).diff(126)\n"
    )
    (shell.folder / "notebook.py").write_text(before + code.replace("100_000", "2_048"), encoding="utf-8")
    shell.run("python notebook.py")
    assert (shell.folder / "runs" / "notebook" / "report.html").is_file()
