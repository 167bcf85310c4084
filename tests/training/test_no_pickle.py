"""Nothing that is read from a run is unpickled: a stranger's folder of a run cannot run code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.learning.checkpoints import CheckpointFolder, Snapshot
from alfred.training import pipeline
from tests.commands import call
from tests.training.small import make_small, run_small


class UnpickledError(Exception):
    """Something was about to be unpickled."""


class _Refuse:
    def __init__(self, *_arguments: Any, **_names: Any) -> None:
        raise UnpickledError


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Have every way to unpickle raise."""
    for owner, names in ((pickle, ("load", "loads", "Unpickler")), (torch, ("load",))):
        for name in names:
            monkeypatch.setattr(owner, name, _Refuse)
    return monkeypatch


def read_everything(root: Path) -> None:
    """Judge anew, write the report again, and say what to hold: between them they read all that a run has."""
    run = root / "runs" / "small"
    pipeline.rewrite_report(pipeline.reopen(run))
    assert call("allocate", run, "--json").exit_code == 0
    assert call("judge", root / "returns.csv", "--out", root / "judged", "--json").exit_code == 0
    (run / "results.json").unlink()
    _, lines, rows = run_small(root / "runs", make_small(root / "prices.csv"))
    assert rows and not any("direct" in name for name in lines.begun)  # nothing is trained, all is read


def test_a_run_is_read_without_pickle(root: Path, request: pytest.FixtureRequest) -> None:
    dates = pd.bdate_range("2015-01-01", periods=300)
    returns = np.random.default_rng(0).normal(0, 0.01, (300, 2))
    pd.DataFrame(returns, dates.rename("date"), ["returns", "benchmark"]).to_csv(root / "returns.csv")
    read_everything(root)  # numba compiles, or reads its own cache of compiled code, which lies in the package
    request.getfixturevalue("refused")
    with pytest.raises(UnpickledError):
        pickle.loads(pickle.dumps(1))
    read_everything(root)


def test_models_and_checkpoints_are_read_without_pickle(tmp_path: Path, refused: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", "one")
    folder.save(1, Snapshot({"x": torch.ones(3)}, {"note": 1}))
    assert folder.load() is not None
    hostile = tmp_path / "hostile.npy"
    np.save(hostile, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(hostile)
