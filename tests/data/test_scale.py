"""A universe of the size of an exchange fits into memory; the table comes from benchmarks/make_universe.py."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from alfred.data.settings import DataSettings
from alfred.data.sources import load_market

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def import_benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(name)


def test_a_universe_is_loaded_as_pandas_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "universe.parquet"
    n_rows = import_benchmark("make_universe", monkeypatch).write_universe(path, n_symbols=130, years=1, seed=1)
    market = load_market(DataSettings(path=path, dtype="float32"))
    assert market.close.shape == (252, 130)
    assert market.close.dtype == np.float32
    table = pd.read_parquet(path)
    assert n_rows == len(table) == market.tradable.sum() < 252 * 130
    for name in ("open", "high", "low", "close", "volume"):
        scale = table["adj_close"] / table["close"]
        scaled = table[name] / scale if name == "volume" else table[name] * scale
        wide = table.assign(value=scaled).pivot_table(index="date", columns="symbol", values="value", observed=True)
        np.testing.assert_allclose(market.field(name), wide[list(market.symbols)].to_numpy(), rtol=1e-6)


@pytest.mark.slow
def test_5300_symbols_and_20_years_stay_under_4_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = import_benchmark("bench_data", monkeypatch).measure_load(5300, 20)
    assert (figures["symbols"], figures["dates"]) == (5300, 5040)
    assert figures["peak_mib"] < 4096
