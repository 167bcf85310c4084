"""What is handed to analysts and agents owns its memory: nothing in it leads to what comes later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import pytest

from alfred.agents.base import TrainingTask
from alfred.agents.direct import DirectAgent
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import NaiveSettings
from alfred.config import ForecastSettings, TrainingSettings
from alfred.data.contexts import Contexts
from alfred.data.features.catalogue import compute_features
from alfred.data.market import Market
from alfred.data.settings import FeatureSettings, SplitSettings
from alfred.data.splits import make_folds
from alfred.envs.settings import PortfolioSettings
from alfred.training.cross_fitting import blocks as cross_fitting
from alfred.training.cross_fitting.folds import train_agents
from alfred.training.forecasting import forecast_walk_forward
from alfred.training.progress import Silence
from tests.agents.tasks import make_tiny
from tests.conftest import make_random_market

PLAIN = make_random_market(420)
MARKET = replace(PLAIN, extras={"extra": PLAIN.close.copy()}, cash_rate=np.full(420, 0.02))


def list_arrays(item: Any, seen: set[int] | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every array below a dataclass, in mappings and sequences as well, by name."""
    for entry in fields(item):
        value = getattr(item, entry.name)
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for key, part in parts:
            name = f"{entry.name}.{key}".strip(".")
            if isinstance(part, pd.DatetimeIndex):
                yield name, np.asarray(part.to_numpy())
            elif isinstance(part, np.ndarray):
                yield name, part
            elif is_dataclass(part) and not isinstance(part, type):
                for deeper, array in list_arrays(part):
                    yield f"{name}.{deeper}", array


def find_reach(item: Any, spare_rows: int = 0) -> list[str]:
    """Return the arrays whose memory goes on past their own end."""
    found = []
    for name, array in list_arrays(item):
        base = array
        while isinstance(base, np.ndarray):
            if base.nbytes > array.nbytes + spare_rows * array[:1].nbytes:
                found.append(f"{name}: {array.shape} of {base.shape}")
            base = base.base
    return found


class Prying(NaiveAnalyst):
    found: ClassVar[list[str]] = []
    met: ClassVar[set[str]] = set()

    def fit(self, market: Market) -> Self:
        self.found.extend(find_reach(market))
        self.met.update(name for name, _ in list_arrays(market))
        return super().fit(market)

    def predict(self, contexts: Contexts) -> Any:
        self.found.extend(find_reach(contexts))
        return super().predict(contexts)


def test_a_cut_reaches_further_and_is_found() -> None:
    cut = MARKET.until(MARKET.dates[205])
    assert cut.close.base is not None
    assert any(text.startswith("close: (206, 4) of (420, 4)") for text in find_reach(cut))
    assert find_reach(cut.copy()) == []


def test_an_analyst_is_handed_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANALYSTS, "naive", f"{__name__}:Prying")
    schedule = ForecastSettings(min_train_days=206, refit_every_days=100, max_train_days=150, cache=None)
    forecast_walk_forward(MARKET, NaiveSettings(), schedule)
    assert Prying.met >= {"dates", "close", "open", "volume", "tradable", "extras.extra", "cash_rate"}
    assert Prying.found == []


@pytest.mark.slow
def test_an_agent_is_handed_copies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found: list[str] = []
    names: set[str] = set()

    class PryingAgent(DirectAgent):
        def train(self, task: TrainingTask) -> Any:
            # The tape cuts its own last mark off one of its arrays; that was made from the cut market.
            found.extend(find_reach(task.tape))
            names.update(name for name, _ in list_arrays(task.tape))
            for cell in task.validate.__closure__ or ():  # type: ignore[attr-defined]
                for inner in getattr(cell.cell_contents, "__dict__", {}).values():
                    if is_dataclass(inner):
                        found.extend(find_reach(inner))
                        names.add(type(inner).__name__)
            return super().train(task)

    monkeypatch.setattr(cross_fitting, "make_agent", PryingAgent)
    train_agents(
        MARKET,
        compute_features(MARKET, FeatureSettings(names=("momentum_1",))),
        make_folds(MARKET.dates, SplitSettings(n_folds=2, validation_days=40, min_train_days=100), 1),
        make_tiny("direct", total_steps=64, n_portfolios=4, episode_length=16),
        PortfolioSettings(lookback=3),
        TrainingSettings(n_seeds=1),
        seed=0,
        n_jobs=1,
        folder=tmp_path,
        reporter=Silence(),
    )
    assert {"signals", "overnight", "returns", "dates", "Market", "Signals"} <= names
    assert found == []
