"""Sharing the forecasts of a model out among its inputs, with a check that the parts add up.

Integrated gradients (Sundararajan, Taly and Yan, 2017) and Shapley values (Lundberg and Lee, 2017) both promise that
the parts of a forecast sum to its difference from that of a reference: a window without information for a network, the
mean over all windows of the test for trees. The promise is checked and its gap reported.

Axes legend: B windows, F inputs, H horizons, M nodes of a tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alfred.analysts.networks.base import NetworkAnalyst
from alfred.analysts.settings import AnalystSettings
from alfred.analysts.tabular.forest import Forest
from alfred.analysts.tabular.trees import TreesAnalyst
from alfred.errors import import_extra
from alfred.evaluation.attribution import COMPLETE, Attribution, InputShare, Method
from alfred.training.ablation.analysts import Reader, open_readers
from alfred.training.prepared import Prepared
from alfred.typing import Float, FloatArray

EXTRA = "explain"
DEFAULT_WINDOWS = 200
_LEAST_COVER = 1e-3  # windows that a leaf counts for at least: a share of none is no number
_STEPS = (64, 256, 1024)  # of the integral, more while the parts do not add up
_SAMPLES = 25  # orders of the inputs that a Shapley value of a network averages over
_SMALL = 1e-12


def attribute_analyst(
    prepared: Prepared, settings: AnalystSettings, n_windows: int = DEFAULT_WINDOWS
) -> list[Attribution]:
    """Share out the forecasts of the last model of the test, horizon by horizon.

    Args:
        prepared: The run.
        settings: The analyst.
        n_windows: Windows of the test, evenly spread.

    Returns:
        Nothing for an analyst that is neither a network on windows nor trees.

    Raises:
        MissingExtraError: captum or shap is not installed.
        ConfigError: A network of the user's own does not say which of its answers is the mean.
    """
    readers, _, _ = open_readers(prepared, settings)
    if not readers:
        return []
    reader = readers[-1]
    values = np.asarray(reader.inside.read_inputs(reader.contexts))
    chosen = np.unique(np.linspace(0, len(values) - 1, n_windows).astype(int))
    shown = values[chosen]
    if isinstance(reader.inside, NetworkAnalyst):
        return _attribute_network(reader, settings, shown)
    if isinstance(reader.inside, TreesAnalyst):
        return _attribute_trees(reader.inside, settings, shown, values)
    return []


def _attribute_network(reader: Reader, settings: AnalystSettings, shown: npt.NDArray[Any]) -> list[Attribution]:
    network = reader.inside
    assert isinstance(network, NetworkAnalyst)  # noqa: S101  the caller looked
    found = []
    device = next(network.network_.parameters()).device
    inputs = torch.from_numpy(shown).to(device)
    for place, horizon in enumerate(settings.horizons):

        def forecast(windows: torch.Tensor, place: int = place) -> torch.Tensor:
            return network.compute_mean(windows)[:, place]

        methods: dict[Method, Callable[[], tuple[Float, float]]] = {
            "integrated gradients": lambda run=forecast: integrate_gradients(run, inputs),  # type: ignore[misc]
            "SHAP": lambda run=forecast: sample_shapley(run, inputs),  # type: ignore[misc]
        }
        for method, compute in methods.items():
            parts, gap = compute()
            found.append(_summarise(settings.label, method, horizon, network.inputs, parts, gap))
    return found


def integrate_gradients(forecast: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> tuple[Float, float]:
    """Return the parts of each field `[B, F]`, summed over bars, and their gap.

    The integral from a window of zeros takes more steps until the parts add up.

    Args:
        forecast: From windows `[B, C-1, F]` to one number each, `[B]`.
        inputs: Windows, `[B, C-1, F]`.

    Raises:
        MissingExtraError: captum is not installed.
    """
    captum = import_extra("captum.attr", EXTRA)
    parts, gap = np.zeros(0), float("inf")
    for steps in _STEPS:
        method = captum.IntegratedGradients(forecast)
        found = method.attribute(inputs, baselines=torch.zeros_like(inputs), n_steps=steps, internal_batch_size=4096)
        parts = found.detach().double().cpu().numpy().sum(axis=1)
        gap = measure_gap(parts, _compare_with_nothing(forecast, inputs))
        if gap <= COMPLETE:
            break
    return parts, gap


def sample_shapley(forecast: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> tuple[Float, float]:
    """Return Shapley values of whole fields `[B, F]` over sampled orders (Castro et al., 2009), and their gap.

    Args:
        forecast: From windows `[B, C-1, F]` to one number each, `[B]`.
        inputs: Windows, `[B, C-1, F]`.

    Raises:
        MissingExtraError: captum is not installed.
    """
    captum = import_extra("captum.attr", EXTRA)
    n_fields = inputs.shape[-1]
    mask = torch.arange(n_fields, device=inputs.device).expand(1, inputs.shape[1], n_fields).contiguous()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        found = captum.ShapleyValueSampling(forecast).attribute(
            inputs, baselines=0.0, feature_mask=mask, n_samples=_SAMPLES
        )
    # Every bar of a field holds the value of the whole field.
    parts = found.double().cpu().numpy()[:, 0, :]
    return parts, measure_gap(parts, _compare_with_nothing(forecast, inputs))


def measure_gap(parts: FloatArray, whole: FloatArray) -> float:
    """Return the largest distance of the sums of parts `[B, F]` from the wholes `[B]`, over their root mean square."""
    size = float(np.sqrt(np.mean(whole**2)))
    missed = float(np.abs(parts.sum(axis=1) - whole).max())
    return missed / size if size > _SMALL else 0.0 if missed <= _SMALL else float("inf")


def explain_forests(forests: list[Forest], shown: Float, background: Float) -> tuple[Float, float]:
    """Return the SHAP values of the mean of forests, `[B, F]`, and their gap.

    Where an input is not known, both ways of a split are weighed by the windows that took them (path-dependent,
    Lundberg et al., 2020). The parts of the library's interventional kind, which reads thresholds in single precision,
    do not add up on trees of histograms (`docs/log.md`).

    Args:
        forests: Members, whose forecasts are averaged.
        shown: Features, `[B, F]`; NaN where unknown.
        background: Features of the windows that weigh the ways, `[B, F]`.

    Raises:
        MissingExtraError: shap is not installed.
    """
    shap = import_extra("shap", EXTRA)
    parts = np.zeros(shown.shape)
    whole = np.zeros(len(shown))
    for forest in forests:
        if not forest.n_trees:
            continue
        explainer = shap.TreeExplainer(
            describe_forest(forest, background), feature_perturbation="tree_path_dependent", model_output="raw"
        )
        found = np.asarray(explainer.shap_values(shown, check_additivity=False)).reshape(shown.shape)
        parts += found / len(forests)
        reference = float(np.ravel(explainer.expected_value)[0])
        whole += (forest.predict(shown) - reference) / len(forests)
    return parts, measure_gap(parts, whole)


def _attribute_trees(
    trees: TreesAnalyst, settings: AnalystSettings, shown: Float, background: Float
) -> list[Attribution]:
    """Share out what the trees say, before `OutputRule` makes a return of it."""
    found = []
    for horizon, members in zip(settings.horizons, trees.forests_, strict=True):
        parts, gap = explain_forests(members, shown, background)
        found.append(_summarise(settings.label, "SHAP", horizon, trees.inputs, parts, gap))
    return found


def count_windows(forest: Forest, values: Float) -> Float:
    """Return how many windows `[B, F]` come to each node of a forest, `[M]`, a leaf counting a thousandth at least."""
    counts = np.zeros(len(forest.values))
    leaf = forest.left == np.arange(len(forest.values))
    for root in forest.roots:
        places = np.full(len(values), root)
        while True:
            found = values[np.arange(len(values)), forest.features[places]]
            goes_left = (found <= forest.thresholds[places]) | (np.isnan(found) & forest.missing_left[places])
            below = np.where(goes_left, forest.left[places], forest.right[places])
            if np.array_equal(below, places):
                break
            places = below
        counts += np.bincount(places, minlength=len(counts))
    counts[leaf] = np.maximum(counts[leaf], _LEAST_COVER)
    # A child comes after its parent.
    for node in np.flatnonzero(~leaf)[::-1]:
        counts[node] = counts[forest.left[node]] + counts[forest.right[node]]
    return counts


def describe_forest(forest: Forest, background: Float) -> dict[str, Any]:
    """Return a forest in the words of shap: each tree by itself, its leaves without children.

    Args:
        forest: The forest.
        background: Features of the windows that weigh the ways, `[B, F]`.
    """
    counts = count_windows(forest, background)
    ends = [*forest.roots[1:].tolist(), len(forest.values)]
    trees = []
    for start, stop in zip(forest.roots.tolist(), ends, strict=True):
        own = np.arange(start, stop)
        leaf = forest.left[start:stop] == own
        left, right = (np.where(leaf, -1, child[start:stop] - start) for child in (forest.left, forest.right))
        trees.append(
            {
                "children_left": left,
                "children_right": right,
                "children_default": np.where(forest.missing_left[start:stop], left, right),
                "features": np.where(leaf, -1, forest.features[start:stop]),
                "thresholds": forest.thresholds[start:stop].astype(np.float64),
                "values": forest.values[start:stop, None].astype(np.float64),
                "node_sample_weight": counts[start:stop],
            }
        )
    return {
        "trees": trees,
        "base_offset": float(forest.baseline[0]),
        "internal_dtype": np.float64,
        "input_dtype": np.float64,
        "objective": "squared_error",
        "tree_output": "raw_value",
    }


def _compare_with_nothing(forecast: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> Float:
    with torch.no_grad():
        difference = forecast(inputs).double() - forecast(torch.zeros_like(inputs)).double()
    return np.asarray(difference.cpu().numpy())


def _summarise(
    label: str, method: Method, horizon: int, names: tuple[str, ...], parts: FloatArray, gap: float
) -> Attribution:
    shares = [
        InputShare(name, float(np.abs(parts[:, column]).mean()), float(parts[:, column].mean()))
        for column, name in enumerate(names)
    ]
    return Attribution(label, method, horizon, len(parts), tuple(shares), gap)
