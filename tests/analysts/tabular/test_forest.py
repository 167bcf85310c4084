"""Trees as arrays forecast what scikit-learn forecasts, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from alfred.analysts.tabular.forest import Forest

RNG = np.random.default_rng(0)


def draw(n_rows: int = 1500, n_features: int = 5) -> tuple[np.ndarray, np.ndarray]:
    values = RNG.normal(size=(n_rows, n_features))
    values[:, 1] = np.round(values[:, 1])
    target = np.sin(2 * values[:, 0]) + values[:, 1] * values[:, 2] + 0.3 * RNG.normal(size=n_rows)
    values[RNG.random(values.shape) < 0.1] = np.nan
    return values, target


VALUES, TARGET = draw()


@pytest.fixture(scope="module", params=[0.2, 1.0])
def model(request) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        max_iter=40, max_leaf_nodes=15, max_bins=64, max_features=request.param, early_stopping=False, random_state=1
    ).fit(VALUES, TARGET)


def test_forecasts_are_those_of_sklearn_to_the_last_bit(model) -> None:
    forest = Forest.from_model(model)
    assert forest.n_trees == 40
    values, _ = draw(2000)
    # On the thresholds themselves, at the ends of the line and without any value.
    edges = forest.thresholds[forest.left != np.arange(len(forest.left))][:50]
    values = np.vstack([values, np.tile(edges[:, None], 5), np.full((1, 5), np.inf), np.full((1, 5), -np.inf)])
    values = np.vstack([values, np.full((1, 5), np.nan)])
    np.testing.assert_array_equal(forest.predict(values), model.predict(values))


def test_missing_values_go_where_they_were_learnt_to_go(model) -> None:
    forest = Forest.from_model(model)
    inner = forest.left != np.arange(len(forest.left))
    assert forest.missing_left[inner].any() and not forest.missing_left[inner].all()


def test_a_row_is_forecast_alike_in_any_batch(model) -> None:
    forest = Forest.from_model(model)
    everything = forest.predict(VALUES)
    for row in (0, 255, 256, 1499):
        assert forest.predict(VALUES[row : row + 1])[0] == everything[row]
    assert len(forest.predict(VALUES[:0])) == 0


def test_arrays_make_the_same_forest(model) -> None:
    forest = Forest.from_model(model)
    again = Forest.from_arrays(forest.to_arrays("a"), "a", 5)
    np.testing.assert_array_equal(again.predict(VALUES), forest.predict(VALUES))


def test_a_forest_without_trees_is_its_baseline() -> None:
    forest = Forest.from_arrays(Forest.constant(0.25).to_arrays("b"), "b", 5)
    np.testing.assert_array_equal(forest.predict(VALUES[:3]), 0.25)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("left", lambda array: np.zeros_like(array), "not below it"),
        ("right", lambda array: array + len(array), "not below it"),
        ("features", lambda array: array + 5, "beyond the 5"),
        ("roots", lambda array: array - 1, "roots among its nodes"),
        ("thresholds", lambda array: array[:-1], "'thresholds' of a forest has shape"),
        ("values", lambda array: array.astype(np.float32), "'values' of a forest is float32"),
        ("baseline", lambda array: np.repeat(array, 2), "one baseline"),
    ],
)
def test_damaged_arrays_are_refused(model, name, change, message) -> None:
    arrays = Forest.from_model(model).to_arrays("a")
    arrays[f"a.{name}"] = change(arrays[f"a.{name}"])
    with pytest.raises(ValueError, match=message):
        Forest.from_arrays(arrays, "a", 5)
