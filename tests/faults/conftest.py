"""One finished run, made once; nobody writes to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.world import run_whole, write_config
from tests.training.small import DIRECT


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a run of one fold in one process."""
    splits = {"n_folds": 1, "min_train_days": 60, "validation_days": 40, "embargo_days": 0}
    folder = tmp_path_factory.mktemp("faults")
    return write_config(folder, splits=splits, agents=[DIRECT], training={"n_seeds": 1, "n_jobs": 1})


@pytest.fixture(scope="session")
def whole(config: Path) -> Path:
    """The folder of runs that it gives."""
    root = config.parent / "whole"
    assert run_whole("run", config, "--runs", root).exit_code == 0
    return root
