"""Three small runs in one folder, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.small import DIRECT, make_small, run_small, write_prices


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one`, `two` at other costs with a second agent, `late` in a later test alone; nobody writes to it."""
    folder = tmp_path_factory.mktemp("catalogue")
    prices, root = write_prices(folder), folder / "runs"
    splits = {"n_folds": 1, "min_train_days": 60, "validation_days": 40, "embargo_days": 0}
    run_small(root, make_small(prices, name="one", splits=splits))
    agents = [{**DIRECT, "horizon": 8}, {**DIRECT, "name": "second"}]
    run_small(root, make_small(prices, name="two", splits=splits, agents=agents, env={"cost_bps": 20.0}))
    run_small(root, make_small(prices, name="late", splits={**splits, "test_start": "2011-11-01"}))
    return root
