"""A finished run, made once a process and copied by whoever changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.small import make_small, run_small, write_prices


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `prices.csv` and the run `runs/small`; nobody writes to it."""
    root = tmp_path_factory.mktemp("finished")
    run_small(root / "runs", make_small(write_prices(root)))
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run that a test may change."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path
