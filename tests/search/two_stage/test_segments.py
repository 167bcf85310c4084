"""The parts of the history: in order, apart, and without what comes later."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from alfred.data.perturbation import scramble_after
from alfred.data.sources import compute_market_checksum
from alfred.errors import DataError
from alfred.training.prepared import cut_folds
from alfred.training.search.two_stage import segments as module
from alfred.training.search.two_stage.segments import cut_copy, cut_segments, load_searched
from tests.conftest import make_random_market
from tests.search.two_stage.cases import make_experiment, make_market, make_settings


@pytest.mark.parametrize("objective", ["two_stage", "hybrid", "pareto"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_parts_follow_each_other_a_horizon_apart(objective: str, horizon: int) -> None:
    market = make_market(n_days=1500)
    found = cut_segments(market, make_settings(objective=objective, horizon=horizon, n_model_folds=3))
    row = {date: place for place, date in enumerate(market.dates)}
    ends = [found.model, *found.strategy_folds, found.locked]
    assert found.locked[1] == market.dates[-1]
    assert row[found.locked[0]] - row[ends[-2][1]] > horizon
    if objective == "two_stage":
        assert row[found.strategy[0]] - row[found.model[1]] > horizon
        assert (found.strategy_folds[0][0], found.strategy_folds[-1][1]) == found.strategy
        folds = found.strategy_folds
        assert all(row[b[0]] == row[a[1]] + 1 for a, b in itertools.pairwise(folds))
    else:
        assert found.strategy_folds == ()
    for fold in found.model_folds:
        # fitted on, purge, calibration, purge, validation
        assert row[fold.calibration[0]] - row[fold.fit_end] > horizon
        assert row[fold.validation[0]] - row[fold.calibration[1]] > horizon
        assert fold.validation[1] <= found.model[1]
    origins = [fold.fit_end for fold in found.model_folds]
    assert origins == sorted(set(origins))
    validations = [fold.validation for fold in found.model_folds]
    assert all(a[1] < b[0] for a, b in itertools.pairwise(validations))


@pytest.mark.parametrize(
    ("n_days", "changes", "text"),
    [
        (200, {}, "first stage"),
        (900, {"n_model_folds": 30}, "lower n_model_folds"),
        (900, {"n_strategy_folds": 30}, "second stage"),
        (700, {"locked_share": 0.03}, "locked part"),
    ],
)
def test_a_short_history_is_refused(n_days: int, changes: dict[str, object], text: str) -> None:
    with pytest.raises(DataError, match=text):
        cut_segments(make_market(n_days=n_days), make_settings(**changes))


def test_the_test_part_does_not_exist_for_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_random_market(900)
    experiment = make_experiment(
        forecast={"min_train_days": 260},
        splits={"n_folds": 2, "min_train_days": 60, "validation_days": 40},
        analysts=[{"kind": "naive", "horizons": [1]}],
    )
    first_test = cut_folds(whole, experiment)[0].test[0]
    found = []
    for market in (whole, scramble_after(whole, whole.dates[whole.dates.get_loc(first_test) - 1], seed=5)):
        monkeypatch.setattr(module, "load_market", lambda _settings, market=market: market)
        searched = load_searched(experiment)
        assert searched.dates[-1] < first_test
        # Memory of its own, that ends with it: no view leads to what comes later.
        assert searched.close.base is None or searched.close.base.shape == searched.close.shape
        found.append(compute_market_checksum(searched))
    assert found[0] == found[1]


def test_a_cut_has_no_notes_of_the_whole() -> None:
    market = make_market(n_days=300)
    assert market.notes
    cut = cut_copy(market, market.dates[99])
    assert cut.notes == ()
    assert cut.n_dates == 100
    cut.close[:] = 1.0
    assert not np.any(market.close[:100] == 1.0)
