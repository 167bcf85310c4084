"""The stages of a configuration: `python -m alfred.training.audit.stages CONFIG OUT MODE PLUGIN...`."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from alfred.agents.base import TrainingTask
from alfred.agents.registry import make_agent
from alfred.agents.settings import AgentSettings
from alfred.config import load_experiment
from alfred.data.features.catalogue import compute_features
from alfred.data.market import Market
from alfred.data.signals import Signals, concatenate_signals
from alfred.data.sources import load_market
from alfred.envs.gym.episodes import prepare_tape
from alfred.errors import AlfredError
from alfred.evaluation.backtest import backtest, make_walk
from alfred.plugins import AuditStage, load_plugins
from alfred.training.audit.layers import Layer, save_layers
from alfred.training.audit.worlds import World
from alfred.training.blending.walk import blend_walk_forward, can_blend
from alfred.training.forecasting import forecast_walk_forward, specialise
from alfred.training.prepared import cut_folds, find_observed

STEPS = 2_048  # of an agent: enough to leave its start


def compute_layers(world: World, own: Mapping[str, AuditStage], mode: str = "pipeline") -> list[Layer]:
    """Compute every stage of a world, in the order in which one is made from the other.

    Args:
        world: The world.
        own: Stages that plugins bring.
        mode: `pipeline` computes all stages of the configuration, `features` those before any forecast, `own` the
            market alone; what plugins bring is always computed.
    """
    if mode == "pipeline":
        layers = _compute_pipeline(world)
    else:
        layers = [_read_market(world.market)]
        if mode == "features" and world.experiment.features is not None:
            layers.append(Layer.from_signals("features", compute_features(world.market, world.experiment.features)))
    return layers + [Layer.from_signals(name, stage(world)) for name, stage in own.items()]


def _compute_pipeline(world: World) -> list[Layer]:
    experiment, market = world.experiment, world.market
    layers, parts = [_read_market(market)], []
    if experiment.features is not None:
        features = compute_features(market, experiment.features)
        layers.append(Layer.from_signals("features", features))
    for settings in experiment.analysts:
        schedule = specialise(experiment.forecast, settings)
        parts.append(forecast_walk_forward(market, settings, schedule))
        layers.append(Layer.from_signals(f"forecasts of {settings.label}", parts[-1]))
    joined = concatenate_signals(parts)
    if experiment.blend is not None and can_blend(joined.specs):
        parts.append(blend_walk_forward(market, joined, experiment.blend))
        layers.append(Layer.from_signals(f"forecasts of {experiment.blend.label}", parts[-1]))
    if experiment.features is not None:
        parts.append(features)
    joined = concatenate_signals(parts)
    signals = joined.select(find_observed(joined.names, experiment)).scaled()
    layers.append(Layer.from_signals("signals", signals))
    tape = prepare_tape(market, signals, experiment.env, start=signals.dates[0], holdable=market.universe)
    known = market.dates[market.dates.get_indexer(tape.dates) - tape.lag]
    layers.append(
        Layer("observations", known, ("market",), _name_columns(tape.features.shape[1]), tape.features[:, None, :])
    )
    layers.append(Layer("observations", known, tape.symbols, ("tradable",), tape.tradable_then[:, :, None]))
    layers += [_act(market, signals, world, settings) for settings in experiment.agents]
    return layers


def _act(market: Market, signals: Signals, world: World, settings: AgentSettings) -> Layer:
    """Train an agent briefly on the first fold and record its weights after it."""
    experiment = world.experiment
    fold = cut_folds(market, experiment)[0]
    agent = make_agent(settings)
    torch.manual_seed(experiment.seed)
    known, known_signals = market.until(fold.validation[1]).copy(), signals.until(fold.validation[1]).copy()
    tape = prepare_tape(
        known, known_signals, experiment.env, start=max(fold.train[0], known_signals.dates[0]), holdable=market.universe
    )
    with tempfile.TemporaryDirectory() as folder:
        task = TrainingTask(
            tape, experiment.env, experiment.seed, Path(folder), lambda _policy, steps: float(steps), lambda _done: None
        )
        policy = agent.train(task)
    walk = make_walk(market, signals, experiment.env, policy, start=fold.test[0], end=fold.test[1])
    record = backtest(policy, walk)
    names = (*record.symbols, "cash")
    return Layer(f"actions of {settings.label}", record.dates, names, ("weight",), record.weights[:, :, None])


def _read_market(market: Market) -> Layer:
    return Layer("market", market.dates, market.symbols, ("close",), np.asarray(market.close)[:, :, None])


def _name_columns(count: int) -> tuple[str, ...]:
    from alfred.envs.market_features import MARKET_FEATURES

    return MARKET_FEATURES if len(MARKET_FEATURES) == count else tuple(str(number) for number in range(count))


def main(arguments: Sequence[str]) -> int:
    """Compute the layers of a world: configuration, output folder, `pipeline` or `own`, plugins."""
    config, out, mode, *plugins = arguments
    torch.set_num_threads(1)
    try:
        own = load_plugins(plugins)
        experiment = load_experiment(config)
        world = World(Path(config).parent, experiment, load_market(experiment.data))
        save_layers(Path(out), compute_layers(world, own, mode))
    except AlfredError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Exception:  # a plugin's own mistake: its last line is what the user needs
        sys.stderr.write(traceback.format_exc().strip().splitlines()[-1] + "\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
