"""Exceptions in code of a user's own: one line that says whose, in what, on what; the traceback in a file."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from alfred.errors import OwnCodeError, name_own_code
from alfred.notebook.backtest import backtest
from tests.commands import call
from tests.conftest import make_random_market
from tests.test_cli import QUICK, settings
from tests.training.small import write_market

PLUGIN = """
from typing import Literal

from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import AnalystSettings


class BrokenSettings(AnalystSettings):
    kind: Literal["broken"] = "broken"
    where: str = "fit"


class BrokenAnalyst(NaiveAnalyst):
    settings_class = BrokenSettings

    def fit(self, market):
        if self.settings.where == "fit":
            raise KeyError("no such column")
        if self.settings.where == "none":
            return None
        return super().fit(market)

    def predict(self, contexts):
        if self.settings.where == "predict" and any(
            symbol == "S1" and str(day.date()) >= "2011-06-15" for symbol, day in zip(contexts.symbols, contexts.dates)
        ):
            raise ZeroDivisionError("by nothing")
        return super().predict(contexts)


ANALYSTS.register(BrokenAnalyst)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "broken_plugin.py").write_text(PLUGIN)
    write_market(folder / "prices.csv", make_random_market(760))
    return folder


def run(world: Path, where: str, name: str, *more: str) -> str:
    entry = f"analysts=[{{kind: broken, where: {where}}}]"
    pairs = [f"data.path={world / 'prices.csv'}", *QUICK, entry, f"name={name}", *more]
    words = settings(*pairs)
    return refuse_last("run", "--plugin", world / "broken_plugin.py", "--runs", world / "runs", *words)


def refuse_last(*words) -> str:
    """Return the line of a refusal; progress may stand before it."""
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_an_analyst_that_fails_in_fit_is_named(world, monkeypatch) -> None:
    monkeypatch.setenv("ALFRED_PLUGINS", "")
    line = run(world, "fit", "first")
    log = world / "runs" / "first" / "error.log"
    assert line == (
        "error: analyst 'broken' (BrokenAnalyst in broken_plugin.py) failed in fit at the refit of 2011-02-25: "
        f"KeyError: 'no such column'; the traceback is in {log}"
    )
    assert "Traceback" in log.read_text() and "raise KeyError" in log.read_text()
    assert "must return the analyst" in run(world, "none", "none")


def test_an_analyst_that_fails_in_predict_is_named_with_date_and_symbol(world, monkeypatch) -> None:
    monkeypatch.setenv("ALFRED_PLUGINS", "")
    line = run(world, "predict", "second")
    assert "BrokenAnalyst in broken_plugin.py" in line
    assert "failed in predict of S1 on 2011-06-15: ZeroDivisionError: by nothing" in line
    assert (world / "runs" / "second" / "error.log").is_file()


def test_a_strategy_that_fails_in_a_notebook_is_named_and_its_exception_is_the_cause() -> None:
    def choose(observation):
        raise IndexError("out of range")

    with pytest.raises(OwnCodeError, match=r"strategy 'choose' failed in predict at .* IndexError: out of range") as it:
        backtest(choose, make_random_market(300))
    assert isinstance(it.value.__cause__, IndexError)


def test_the_error_survives_another_process_and_own_code_of_alfred_keeps_its_traceback() -> None:
    error = pickle.loads(pickle.dumps(OwnCodeError("line", "trace", "file.log")))
    assert (str(error), error.trace) == ("line; the traceback is in file.log", "trace")

    class Alien:
        __module__ = "alfred.somewhere"

    with pytest.raises(ZeroDivisionError), name_own_code(Alien(), "x", "predict"):
        raise ZeroDivisionError
