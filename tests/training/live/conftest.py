"""One judged run for all tests of this folder; each test copies it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.live.market import copy_run, make_run


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("live"), judge=True)


@pytest.fixture
def run(made, tmp_path) -> Path:
    return copy_run(made, tmp_path)
