"""A named pipe in the place of a file: whoever waits for it waits for ever."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from alfred.agents.base import NetworkPolicy
from alfred.analysts.chosen.entries import read_entries
from alfred.analysts.settings import CARD_FILE, SavedSettings
from alfred.data.prices.parsing import read_csv_text
from alfred.data.settings import DataSettings
from alfred.data.signals import Signals
from alfred.data.sources import load_market
from alfred.errors import AlfredError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.evaluation.outside.table import read_outside_table
from alfred.learning.checkpoints import Snapshot
from alfred.learning.events import read_events
from alfred.learning.tensors import read_tensors
from alfred.training.effort.timings import TIMINGS_FILE, read_factors, write_timing
from alfred.training.experiments.registry import read_registry
from alfred.training.library import find_trained, list_trained
from alfred.training.live.allocation import read_holdings
from alfred.training.live.brokers import read_fills
from alfred.training.live.journal import Journal
from alfred.training.progress import LOG_FILE, Silence, record_progress
from alfred.training.provenance.trials import LOG_FILE as TRIALS_FILE
from alfred.training.provenance.trials import TrialLog
from alfred.training.quarterly.settings import read_quarterly
from alfred.training.search.analysts.families import choose_families
from tests.conftest import make_random_market
from tests.faults.world import limit_time
from tests.training.small import write_market

READERS: dict[str, Callable[[Path], object]] = {
    "prices.csv": lambda path: load_market(DataSettings(path=path.parent)),
    "prices.csv.gz": lambda path: load_market(DataSettings(path=path.parent)),
    "prices.parquet": lambda path: load_market(DataSettings(path=path.parent)),
    "rates.csv": lambda path: read_csv_text(path, ("date",)),
    "returns.csv": read_outside_table,
    "returns.parquet": read_outside_table,
    CARD_FILE: lambda path: SavedSettings.model_validate({"path": str(path.parent)}),
    f"one/{CARD_FILE}": lambda path: find_trained("one", path.parent.parent),
    "SPY.yaml": lambda path: read_entries(path.parent),
    "experiments.yaml": read_registry,
    "quarterly.yaml": lambda path: read_quarterly(path, {}),
    "space.yaml": lambda path: choose_families(None, path),
    "policy.json": lambda path: NetworkPolicy.load(path.parent),
    "signals.json": lambda path: Signals.load(path.with_suffix(".parquet")),
    "backtest.parquet": Backtest.load,
    "record.safetensors": ForecastRecord.load,
    "model.safetensors": read_tensors,
    "checkpoint.safetensors": Snapshot.read,
    "holdings.csv": read_holdings,
    "fills.csv": read_fills,
    "journal.jsonl": lambda path: Journal(path).read(),
    TRIALS_FILE: lambda path: TrialLog(path.parent).read(),
}


@pytest.mark.parametrize("name", [*READERS])
def test_who_reads_it_says_so(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with limit_time(120), pytest.raises((AlfredError, OSError, ValidationError), match=r"."):
        READERS[name](path)


@pytest.mark.parametrize("name", ["symbols.csv", "members.csv"])
def test_beside_the_prices(name: str, tmp_path: Path) -> None:
    write_market(tmp_path / "prices.csv", make_random_market(60, 3))
    os.mkfifo(tmp_path / name)
    with limit_time(120):
        try:
            load_market(DataSettings(path=tmp_path))
        except AlfredError as error:
            assert name in str(error)


def test_what_is_not_needed_is_passed_over(tmp_path: Path) -> None:
    for name in (LOG_FILE, TIMINGS_FILE, "events.out.tfevents.1.training"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "one").mkdir()
    os.mkfifo(tmp_path / "one" / CARD_FILE)
    with limit_time(120):
        with record_progress(tmp_path, Silence()) as told:
            told.say("something")
        write_timing(tmp_path, "agent ppo", 1.0, 1.0)
        assert read_factors(tmp_path) == {}
        assert list(read_events(tmp_path / "events.out.tfevents.1.training")) == []
        assert list_trained(tmp_path) == []
        shutil.rmtree(tmp_path / "one")
