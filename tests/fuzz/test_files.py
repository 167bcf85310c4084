"""Damaged files are read or refused by an error of our own: never a traceback, whatever they hold."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given

from alfred.agents.base import NetworkPolicy
from alfred.agents.registry import make_agent
from alfred.config import load_experiment
from alfred.data.settings import DataSettings
from alfred.data.signals import Signals
from alfred.data.sources import load_market
from alfred.errors import AlfredError
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.outside.kinds import detect_layout
from alfred.evaluation.outside.series import make_series
from alfred.evaluation.outside.table import read_outside_table
from alfred.learning.checkpoints import CheckpointFolder, Snapshot
from alfred.training.cross_fitting.held_out import HeldOut
from tests.agents.tasks import ENVIRONMENT, make_task, make_tiny
from tests.conftest import ROOT, make_random_market
from tests.fuzz.damage import chances, damage, make_value, many

MARKET = make_random_market(60, 3)
CONFIGS = [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def read(path: Path, content: bytes, reader: Callable[[Path], object]) -> None:
    """Read a damaged file; what is raised must be an error of ours, on one line."""
    path.write_bytes(content)
    try:
        reader(path)
    except AlfredError as error:
        assert str(error).strip()
    finally:
        path.unlink()


@many
@given(chance=chances)
def test_configurations(chance: random.Random, place: Path) -> None:
    read(place / "a.yaml", damage(chance.choice(CONFIGS), chance), load_experiment)


@many
@given(chance=chances)
def test_configurations_of_any_values(chance: random.Random, place: Path) -> None:
    keys = (
        "name",
        "data",
        "analysts",
        "agents",
        "env",
        "blend",
        "splits",
        "forecast",
        "training",
        "features",
        "observe",
    )
    raw = {key: make_value(chance) for key in chance.sample(keys, 3)}
    if chance.random() < 0.5:
        raw["agents"] = [{"kind": chance.choice(("ppo", "direct")), "total_steps": make_value(chance)}]
    read(place / "b.yaml", json.dumps(raw).encode(), load_experiment)


def _make_csv() -> bytes:
    frame = pd.concat(
        pd.DataFrame(
            {"date": MARKET.dates, "symbol": symbol, **{k: MARKET.field(k)[:, n] for k in ("open", "close", "volume")}}
        )
        for n, symbol in enumerate(MARKET.symbols)
    )
    return frame.to_csv(index=False, float_format="%.2f").encode()


CSV = _make_csv()


@many
@given(chance=chances)
def test_price_tables(chance: random.Random, place: Path) -> None:
    read(place / "a.csv", damage(CSV, chance), lambda path: load_market(DataSettings(path=path)))


@many
@given(chance=chances)
def test_compressed_price_tables(chance: random.Random, place: Path) -> None:
    read(place / "a.csv.gz", damage(gzip.compress(CSV), chance), lambda path: load_market(DataSettings(path=path)))


@many
@given(chance=chances)
def test_price_tables_of_parquet(chance: random.Random, place: Path) -> None:
    content = io.BytesIO()
    pd.read_csv(io.BytesIO(CSV)).to_parquet(content)
    read(place / "a.parquet", damage(content.getvalue(), chance), lambda path: load_market(DataSettings(path=path)))


@many
@given(chance=chances)
def test_series_of_other_tools(chance: random.Random, place: Path) -> None:
    dates = pd.bdate_range("2020-01-01", periods=40)
    columns = chance.choice((["returns"], ["returns", "benchmark"], ["wealth"], ["AAPL", "MSFT"]))
    table = pd.DataFrame(np.full((40, len(columns)), 1 / len(columns)), dates.rename("date"), columns)

    def judge(path: Path) -> None:
        found = read_outside_table(path)
        make_series(found, detect_layout(found, None, None))

    read(place / "b.csv", damage(table.to_csv().encode(), chance), judge)


def damage_one(folder: Path, whole: dict[str, bytes], chance: random.Random) -> None:
    """Write all files of a folder, one of them damaged or of other JSON."""
    chosen = chance.choice(sorted(whole))
    for name, content in whole.items():
        other = name.endswith(".json") and chance.random() < 0.3
        spoilt = json.dumps(make_value(chance)).encode() if other else damage(content, chance)
        (folder / name).write_bytes(spoilt if name == chosen else content)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _save_policy(folder: Path) -> None:
    make_agent(make_tiny("direct")).start(make_task(folder / "task").tape, ENVIRONMENT).save(folder)


def _save_signals(folder: Path) -> None:
    values = np.zeros((60, 3, 2), dtype=np.float32)
    trained = np.broadcast_to(MARKET.dates.to_numpy()[:, None], (60, 2)).copy()
    Signals(MARKET.dates, MARKET.symbols[:3], ("a.x_1", "a.y_1"), values, trained, (1, 1)).save(folder / "a")


def _save_checkpoint(folder: Path) -> None:
    CheckpointFolder(folder, "one").save(1, Snapshot({"x": torch.ones(3)}, {"note": 1}))


def _save_held_out(folder: Path) -> None:
    rows = [np.zeros(5), np.ones(5)]
    HeldOut([0, 1], rows, rows, [0.0, 1.0], True).save(folder)


def _save_backtest(folder: Path) -> None:
    zeros = np.zeros(5)
    columns = dict.fromkeys(("gross", "costs", "net", "turnover", "benchmark", "cash_return"), zeros)
    record = Backtest("a", MARKET.dates[:5], ("S0",), np.ones((5, 2)), periods_per_year=252, **columns)
    record.save(folder / "a.parquet")


FOLDERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "policies": (_save_policy, NetworkPolicy.load),
    "signals": (_save_signals, lambda folder: Signals.load(folder / "a")),
    "checkpoints": (_save_checkpoint, lambda folder: CheckpointFolder(folder, "one").load()),
    "held-out blocks": (_save_held_out, HeldOut.load),
    "backtests": (_save_backtest, lambda folder: Backtest.load(folder / "a.parquet")),
}


@pytest.mark.parametrize("kind", [*FOLDERS])
def test_folders(kind: str, tmp_path: Path) -> None:
    save, load = FOLDERS[kind]
    save(tmp_path)
    whole = read_folder(tmp_path)

    @many
    @given(chance=chances)
    def check(chance: random.Random) -> None:
        damage_one(tmp_path, whole, chance)
        with contextlib.suppress(AlfredError):
            load(tmp_path)

    check()
