"""One useful analyst among twenty useless ones: what the direct agent recovers on the blend, and without it.

    OMP_NUM_THREADS=1 python benchmarks/bench_blend.py --json

A market with 10 assets and a planted signal of the information coefficient 0.05; twenty more series look like it and
foretell nothing. Each is taken for the expected return of one analyst. The agent is trained on a path of so many
sessions on the useful one alone, on the blend of all 21 (walk-forward, as in a run), and on all 21 as they come; the
share of the attainable gain is measured on a path that no training has seen, with the weights of the blend as they are
at the end of the training path. `relative` is the share over that on the useful one alone. Each number of `seeds` is a
market, a training and a path to measure on of its own; the table has their median.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from planted_task import PlantedTask

from alfred.agents.registry import make_agent
from alfred.agents.settings import DirectSettings
from alfred.config import BlendSettings
from alfred.data.signals import Signals
from alfred.data.synthetic import PlantedModel, SyntheticMarket
from alfred.training.blending.panels import MEAN, make_panel, measure_volatility
from alfred.training.blending.walk import Weights, blend_walk_forward, fit_weights

IC, N_USELESS, HORIZON = 0.05, 20, 2
DAYS = (2_520, 5_040, 20_160)
SETTINGS = BlendSettings.model_validate({"calibration": {"kind": "none"}})
View = Callable[[SyntheticMarket], Signals]


def as_forecasts(world: SyntheticMarket) -> Signals:
    """Return every series as the expected return of an analyst of its own."""
    drawn = world.signals
    names = tuple(f"a{number}.{MEAN}_{HORIZON}" for number in range(drawn.n_signals))
    values = (0.001 * drawn.values).astype(np.float32)
    return Signals(drawn.dates, drawn.symbols, names, values, drawn.trained_until, (HORIZON,) * drawn.n_signals)


class BlendView:
    """The blend: walk-forward on the first path that is shown, then with the last weights of that path."""

    def __init__(self) -> None:
        """Start before the training path."""
        self.weights: Weights | None = None
        self.quality = float("nan")

    def __call__(self, world: SyntheticMarket) -> Signals:
        """Return the expected return of the blend."""
        forecasts = as_forecasts(world)
        if self.weights is None:
            blend = blend_walk_forward(world.market, forecasts, SETTINGS)
            panel = make_panel(world.market, forecasts, HORIZON, measure_volatility(world.market))
            self.weights = fit_weights(panel, len(forecasts.dates) - 1, SETTINGS)
            return blend.select(blend.names[:1]).scaled()
        level, difference = self.weights.read(np.ones(forecasts.n_signals, dtype=bool))
        panel = make_panel(world.market, forecasts, HORIZON, measure_volatility(world.market))
        said = (panel.levels @ level)[:, None] + panel.differences @ difference
        self.quality = float(np.corrcoef(said[:, :-1].ravel(), world.signals.values[:, :-1, 0].ravel())[0, 1])
        values = (said * panel.unit)[:, :, None].astype(np.float32)
        names = (f"blend.{MEAN}_{HORIZON}",)
        return Signals(
            forecasts.dates, forecasts.symbols, names, values, forecasts.trained_until[:, :1], (HORIZON,)
        ).scaled()


def measure(view: View, days: int, seed: int, steps: int | None) -> dict[str, float]:
    """Train on one path and measure on another."""
    model = PlantedModel(ic=IC, n_distractors=N_USELESS)
    began = time.process_time()
    task = PlantedTask(IC, days, test_seed=seed + 2, train_seed=seed, model=model, view=view)
    seconds = time.process_time() - began
    settings = DirectSettings(patience=None, validate_every=50_000, network="shared", learning_rate=6e-3)
    if steps is not None:
        settings = settings.model_copy(update={"total_steps": steps})
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        policy = make_agent(settings).train(task.make_training(Path(folder), seed))
        trained = time.process_time() - began
    found = task.measure(policy)
    return {
        "share": found.share,
        "sharpe": found.sharpe,
        "turnover_a_day": found.turnover,
        "cpu_seconds": trained,
        "cpu_seconds_before": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--days", type=int, action="append", help="sessions of the training path; repeatable")
    parser.add_argument("--first-seed", type=int, default=9_000, help="seed of the first market")
    parser.add_argument("--seeds", type=int, default=3, help="markets")
    parser.add_argument("--steps", type=int, help="other steps of the agent")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, object] = {}
    for days in arguments.days or DAYS:
        rows: dict[str, list[dict[str, float]]] = {"useful alone": [], "blend": [], "all 21": []}
        quality = []
        for number in range(arguments.seeds):
            seed = arguments.first_seed + 10 * number
            blend = BlendView()
            views: dict[str, View] = {
                "useful alone": lambda world: world.signals.select(world.signals.names[:1]).scaled(),
                "blend": blend,
                "all 21": lambda world: world.signals.scaled(),
            }
            for name, view in views.items():
                rows[name].append(measure(view, days, seed, arguments.steps))
            quality.append(blend.quality)
        alone = np.array([item["share"] for item in rows["useful alone"]])
        found: dict[str, object] = {"correlation_with_the_useful": quality}
        for name, items in rows.items():
            shares = np.array([item["share"] for item in items])
            found[name] = {
                "share": float(np.median(shares)),
                "relative": float(np.median(shares / alone)),
                "relative_seeds": (shares / alone).tolist(),
                "share_seeds": shares.tolist(),
                "turnover_a_day": float(np.median([item["turnover_a_day"] for item in items])),
                "cpu_seconds": float(np.median([item["cpu_seconds"] for item in items])),
                "cpu_seconds_before": float(np.median([item["cpu_seconds_before"] for item in items])),
            }
        results[str(days)] = found
        if not arguments.json:
            print(days, json.dumps(found, indent=2), flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
