"""Parts of forecasts add up, and are those of closed forms where there are any."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from alfred.analysts.tabular.forest import Forest
from alfred.cli import app
from alfred.errors import MissingExtraError
from alfred.training.ablation.attribution import (
    attribute_analyst,
    count_windows,
    explain_forests,
    integrate_gradients,
    measure_gap,
    sample_shapley,
)
from tests.analysts.planted import make_autoregressive_market
from tests.training.ablation.worlds import make_empty_signals, make_prepared
from tests.training.small import make_small, write_prices

LSTM = {
    "kind": "lstm",
    "horizons": [1, 5],
    "context_length": 9,
    "hidden_size": 8,
    "fitting": {"steps": 100, "batch_size": 128, "validate_every": 50, "learning_rate": 0.01},
}
TREES = {"kind": "trees", "horizons": [1], "context_length": 24, "n_rounds": 20, "n_members": 2}


def grow(n_features: int = 4, missing: float = 0.1) -> tuple[Forest, np.ndarray]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    rng = np.random.default_rng(0)
    values = rng.standard_normal((600, n_features))
    label = values[:, 0] + np.where(values[:, 1] > 0, values[:, 2], 0.0) + 0.1 * rng.standard_normal(600)
    values[rng.random(values.shape) < missing] = np.nan
    model = HistGradientBoostingRegressor(max_iter=15, max_leaf_nodes=8, early_stopping=False).fit(values, label)
    return Forest.from_model(model), values


def shapley_by_enumeration(forest: Forest, row: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return Shapley values by their definition: every coalition, the ways of the others weighed by the background."""
    n, counts = len(row), count_windows(forest, background)

    def descend(node: int, known: tuple[int, ...]) -> float:
        left, right = int(forest.left[node]), int(forest.right[node])
        if left == node:
            return float(forest.values[node])
        feature = int(forest.features[node])
        if feature in known:
            value = row[feature]
            goes_left = forest.missing_left[node] if np.isnan(value) else value <= forest.thresholds[node]
            return descend(left if goes_left else right, known)
        both = counts[left] * descend(left, known) + counts[right] * descend(right, known)
        return both / (counts[left] + counts[right])

    def expect(known: tuple[int, ...]) -> float:
        return sum(descend(int(root), known) for root in forest.roots)

    found = np.zeros(n)
    for feature in range(n):
        others = [place for place in range(n) if place != feature]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for known in itertools.combinations(others, size):
                found[feature] += weight * (expect((*known, feature)) - expect(known))
    return found


def test_shap_values_of_trees_are_those_of_the_definition_and_add_up() -> None:
    pytest.importorskip("shap", reason="comes with the extra explain")
    forest, values = grow()
    background, shown = values[:40], values[100:110]
    parts, gap = explain_forests([forest], shown, background)
    assert gap < 1e-8
    expected = np.stack([shapley_by_enumeration(forest, row, background) for row in shown])
    np.testing.assert_allclose(parts, expected, atol=1e-8)


def test_members_are_averaged_and_a_forest_without_trees_has_no_parts() -> None:
    pytest.importorskip("shap", reason="comes with the extra explain")
    forest, values = grow()
    both, gap = explain_forests([forest, Forest.constant(3.0)], values[:5], values[50:80])
    alone, _ = explain_forests([forest], values[:5], values[50:80])
    np.testing.assert_allclose(both, alone / 2, atol=1e-12)
    assert gap < 1e-8
    nothing, gap = explain_forests([Forest.constant(3.0)], values[:5], values[50:80])
    assert not nothing.any() and gap == 0.0


def bend(windows: torch.Tensor) -> torch.Tensor:
    """A function of three fields over four bars, with an interaction."""
    return windows[:, :, 0].sum(1) + torch.tanh(windows[:, -1, 1]) * windows[:, 0, 0]


def test_integrated_gradients_against_the_closed_form_of_a_linear_function() -> None:
    pytest.importorskip("captum", reason="comes with the extra explain")
    windows = torch.randn(20, 4, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    parts, gap = integrate_gradients(lambda x: (x * weights).sum((1, 2)), windows)
    np.testing.assert_allclose(parts, (windows * weights).sum(1).numpy(), atol=1e-5)
    assert gap < 1e-5
    parts, gap = integrate_gradients(bend, windows)
    assert gap < 0.01 and np.abs(parts[:, 2]).max() == 0.0


def test_shapley_values_of_fields_add_up_and_split_an_interaction_in_half() -> None:
    pytest.importorskip("captum", reason="comes with the extra explain")
    windows = torch.randn(30, 4, 3, generator=torch.Generator().manual_seed(0))
    parts, gap = sample_shapley(bend, windows)
    assert gap < 1e-5 and np.abs(parts[:, 2]).max() == 0.0
    together = (torch.tanh(windows[:, -1, 1]) * windows[:, 0, 0]).numpy()
    # 25 orders of three fields: a part of the interaction is its half within sampling error.
    assert np.corrcoef(parts[:, 1], together / 2)[0, 1] > 0.95


def test_a_gap_is_seen() -> None:
    parts = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert measure_gap(parts, np.array([1.0, 1.0])) == 0.0
    assert measure_gap(parts, np.array([1.0, 2.0])) == pytest.approx(1.0 / np.sqrt(2.5))
    assert measure_gap(parts, np.zeros(2)) == float("inf")


@pytest.mark.parametrize("settings", [LSTM, TREES], ids=["network", "trees"])
def test_the_forecasts_of_a_run_are_shared_out(tmp_path: Path, settings: dict) -> None:
    pytest.importorskip("captum", reason="comes with the extra explain")
    pytest.importorskip("shap", reason="comes with the extra explain")
    market, _, _ = make_autoregressive_market(0.4)
    prepared = make_prepared(tmp_path, market, make_empty_signals(market), [settings], 500)
    found = attribute_analyst(prepared, prepared.experiment.analysts[0], 50)
    methods = ["integrated gradients", "SHAP"] if settings is LSTM else ["SHAP"]
    assert [(item.horizon, item.method) for item in found] == [
        (horizon, method) for horizon in settings["horizons"] for method in methods
    ]
    assert all(item.adds_up for item in found), [item.gap for item in found]
    largest = max(found[0].inputs, key=lambda item: item.size)
    # r[t+1] = 0.4 r[t] + e: the last return is what there is to read.
    assert largest.name == ("close" if settings is LSTM else "return_1") and largest.size > 0.05


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'alfred\[explain\]'"):
        integrate_gradients(bend, torch.zeros(2, 4, 3))
    write_prices(tmp_path)
    analysts = [{"kind": "trees", "horizons": [1], "context_length": 24, "n_rounds": 5}]
    experiment = make_small(tmp_path / "prices.csv", analysts=analysts)
    from alfred.training import pipeline

    prepared = pipeline.forecast(experiment, tmp_path / "runs")
    result = CliRunner().invoke(app, ["ablate", str(prepared.run.path), "--analyst", "trees", "--attribute"])
    assert result.exit_code == 2 and "pip install 'alfred[explain]'" in result.output
    assert result.output.strip().count("error:") == 1
