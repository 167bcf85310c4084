"""The audit of a configuration."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.config import Experiment
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import load_market
from alfred.errors import AlfredError, DataError
from alfred.training.audit.checks import check_batches, check_rewards, check_shuffled
from alfred.training.audit.layers import Layer, Leak, find_differences, load_layers
from alfred.training.audit.outside import find_foreknowledge, find_unmoved
from alfred.training.audit.stages import STEPS
from alfred.training.audit.worlds import World, write_world
from alfred.training.jobs import count_cores
from alfred.training.pieces import ALONE
from alfred.training.progress import Reporter, Silence

N_SYMBOLS = 4  # besides the benchmark; those whose listing ended come first
_TEST_DAYS, _VALIDATION_DAYS, _TRAIN_DAYS = 130, 60, 250
_REFIT_DAYS = 300
# Of the sessions after the first forecast: the second refit falls into the test, so that actions are compared as well.
_TEST_SHARE, _REFIT_SHARE = 0.45, 0.65
_MOST_LEAKS = 20


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        clean: Whether nothing saw the future.
        leaks: What did, in the order of the stages: the first is where it begins.
        dates: After which each other world is random, by what the date is.
        stages: What was compared.
        symbols: What was read.
        first: First session that was read.
        last: Last session that was read.
    """

    clean: bool
    leaks: tuple[Leak, ...]
    dates: Mapping[str, str]
    stages: tuple[str, ...]
    symbols: tuple[str, ...]
    first: str
    last: str

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)


def audit(
    experiment: Experiment, plugins: Sequence[str] = (), *, n_jobs: int | None = None, reporter: Reporter | None = None
) -> Audit:
    """Look for anything in a configuration that sees the future.

    Every stage (market, features, forecasts, scaled signals, observations, actions of briefly trained agents, stages
    that plugins bring) is computed in a fresh process on the true tables, and in one more for each of several dates on
    tables that are random after it. To keep it short, a part of the data is read: up to four symbols and the benchmark,
    and as many sessions as one refit of the analysts before a short test needs.

    Args:
        experiment: The configuration.
        plugins: Files or modules of the user's own; see `alfred.plugins`.
        n_jobs: Processes at once; one a core when left out.
        reporter: Progress callback.

    Raises:
        AlfredError: The configuration cannot be run at all.
    """
    listener = reporter or Silence()
    market = cut_market(load_market(experiment.data), experiment)
    short = shorten(experiment, market)
    dates = choose_dates(market, short)
    told = listener.begin("audit", len(dates) + 2)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # The walk-forward refuses such an analyst, so that nothing after it could be compared.
        if batched := check_batches(World(root, short, market)):
            return _conclude(batched, (), dates, market)
        try:
            truth, others = run_worlds(root, market, short, dates, plugins, n_jobs or count_cores(), told)
        except _BatchedError as error:
            # It may answer alike on the true tables and show itself on wilder ones.
            label = str(error).split("'")[1]
            return _conclude([Leak(f"forecasts of {label}", label, "", "", "batch")], (), dates, market)
        leaks: list[Leak] = []
        for name, date in dates.items():
            leaks += compare(truth, others[name], date)
            for layer in others[name]:
                leaks += find_foreknowledge(market, layer, date) if layer.stage != "market" else []
        leaks += check_rewards(experiment.env)
        leaks += _check_skill(market, truth, experiment.seed)
        told(len(dates) + 2)
    return _conclude(leaks, [layer.stage for layer in truth], dates, market)


class _BatchedError(AlfredError):
    """An analyst whose forecasts follow their batch was refused in one of the worlds."""


def _conclude(leaks: Sequence[Leak], stages: Sequence[str], dates: Mapping[str, pd.Timestamp], market: Market) -> Audit:
    unique = tuple(_order(leaks, stages))
    others = ("rewards", "shuffled signals") if stages else ()
    return Audit(
        clean=not unique,
        leaks=unique[:_MOST_LEAKS],
        dates={name: str(date.date()) for name, date in dates.items()},
        stages=tuple(dict.fromkeys([*stages, "batches", *others])),
        symbols=market.symbols,
        first=str(market.dates[0].date()),
        last=str(market.dates[-1].date()),
    )


def cut_market(market: Market, experiment: Experiment) -> Market:
    """Return the part of a market that an audit reads: the latest sessions, and the symbols that ended first of all."""
    needed = experiment.forecast.min_train_days + _TRAIN_DAYS + _VALIDATION_DAYS + _TEST_DAYS + 60
    recent = market.since(market.dates[max(market.n_dates - needed, 0)])
    listed = [
        symbol
        for symbol in recent.universe
        if recent.tradable[: experiment.forecast.min_train_days, recent.index_of(symbol)].mean() > 0.5
    ]
    if not listed:
        raise DataError("the audit found no symbol that trades in the sessions that it reads; load a longer history")
    ended = [symbol for symbol in listed if not recent.tradable[-20:, recent.index_of(symbol)].any()]
    rest = [symbol for symbol in listed if symbol not in ended]
    chosen = (ended[: N_SYMBOLS // 2] + rest)[:N_SYMBOLS]
    return recent.select(chosen)


def shorten(experiment: Experiment, market: Market) -> Experiment:
    """Return the configuration with schedules and budgets that a few minutes suffice for."""
    spare = market.n_dates - experiment.forecast.min_train_days
    every = _choose_refit(
        market, experiment.forecast.min_train_days, max(min(_REFIT_DAYS, int(_REFIT_SHARE * spare)), 2)
    )
    analysts = tuple(
        item.model_copy(update={name: every for name in ("refit_every_days",) if getattr(item, name, None) is not None})
        for item in experiment.analysts
    )
    agents = tuple(
        item.model_copy(update={"total_steps": min(item.total_steps, STEPS), "validate_every": STEPS})
        for item in experiment.agents
    )
    first = experiment.forecast.min_train_days
    if market.n_dates < first + _TRAIN_DAYS // 2 + _TEST_DAYS // 2:
        raise DataError(
            f"the audit needs {_TRAIN_DAYS // 2 + _TEST_DAYS // 2} sessions after forecast.min_train_days {first}, and "
            f"the data have {market.n_dates}; lower forecast.min_train_days or load a longer history"
        )
    splits = experiment.splits.model_copy(
        update={
            "n_folds": 1,
            "test_start": market.dates[first + int(_TEST_SHARE * spare)].date(),
            "test_end": None,
            "validation_days": max(min(_VALIDATION_DAYS, spare // 6), 2),
            "min_train_days": max(spare // 6, 2),
            "train_days": None,
        }
    )
    forecast = experiment.forecast.model_copy(update={"cache": None, "refit_every_days": every})
    return experiment.model_copy(
        update={"analysts": analysts, "agents": agents, "splits": splits, "forecast": forecast, "baselines": ()}
    )


def choose_dates(market: Market, experiment: Experiment) -> dict[str, pd.Timestamp]:
    """Return the dates after which worlds are random, by what they are."""
    first = experiment.forecast.min_train_days
    every = experiment.forecast.refit_every_days
    rows = {"in the warm-up": first // 2, "at a refit in mid-month": min(first - 1 + every, market.n_dates - 3)}
    for column in range(market.n_symbols):
        known = np.flatnonzero(market.tradable[:, column])
        if len(known) and known[-1] < market.n_dates - 20 and known[-1] > first:
            rows["before a permanent halt"] = int(known[-1]) - 1
            break
    return {name: market.dates[row] for name, row in rows.items()}


def _choose_refit(market: Market, first: int, most: int) -> int:
    """Return the sessions to the second refit, which falls into the middle of a month: one date serves as both."""
    for every in range(most, max(most - 25, 1), -1):
        if first - 1 + every < market.n_dates and 12 <= market.dates[first - 1 + every].day < 19:
            return every
    return most


def run_worlds(
    root: Path,
    market: Market,
    experiment: Experiment,
    dates: Mapping[str, pd.Timestamp],
    plugins: Sequence[str],
    n_jobs: int,
    told: object = None,
    *,
    pipeline: bool = True,
) -> tuple[list[Layer], dict[str, list[Layer]]]:
    """Compute the layers of the true world and of every other one, each in a fresh process.

    Raises:
        AlfredError: A process cannot compute them; its own line says why.
    """
    tasks: dict[str, pd.Timestamp | None] = {"true": None, **dates}
    configs = {
        name: write_world(root / _slug(name), market, experiment, date, seed=11 + number)
        for number, (name, date) in enumerate(tasks.items())
    }

    def compute(name: str) -> list[Layer]:
        out = root / f"{_slug(name)}-layers"
        command = [sys.executable, "-m", "alfred.training.audit.stages", str(configs[name]), str(out)]
        date = tasks[name]
        early = date is not None and date < market.dates[experiment.forecast.min_train_days]
        # Before the first forecast there is nothing but features to compare.
        mode = "own" if not pipeline else "features" if early else "pipeline"
        command += [mode, *(str(_absolute(item)) for item in plugins)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own module
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it was killed"]
            where = "the true tables" if date is None else f"tables that are random after {date.date()}"
            if lines[-1].startswith(ALONE):
                raise _BatchedError(lines[-1])
            raise AlfredError(f"the audit cannot run this configuration on {where}: {lines[-1]}")
        return load_layers(out)

    found: dict[str, list[Layer]] = {}
    with ThreadPoolExecutor(n_jobs) as pool:
        for name, layers in zip(configs, pool.map(compute, configs), strict=True):
            found[name] = layers
            if callable(told):
                told(len(found))
    return found.pop("true"), found


def compare(truth: Sequence[Layer], other: Sequence[Layer], date: pd.Timestamp) -> list[Leak]:
    """Return what differs between two worlds up to a date, in the order of the stages."""
    leaks: list[Leak] = []
    by_place = {(layer.stage, layer.names): layer for layer in other}
    for mine in truth:
        theirs = by_place.get((mine.stage, mine.names))
        if theirs is None:
            # Forecasts begin after a date in the warm-up, and were not made; a stage that is gone otherwise is a leak.
            if mine.dates[0] <= date:
                leaks.append(Leak(mine.stage, mine.stage, "", str(date.date()), "rows"))
            continue
        before = _drop_later_training(mine, theirs, date)
        if before is not None:
            leaks += find_differences(*before, date) + find_unmoved(*before, date)
    return leaks


def _drop_later_training(mine: Layer, theirs: Layer, date: pd.Timestamp) -> tuple[Layer, Layer] | None:
    """Return the layers, or None for actions of an agent that was trained after the date and may differ."""
    if mine.stage.startswith("actions") and mine.dates[0] > date:
        return None
    return mine, theirs


def _check_skill(market: Market, truth: Sequence[Layer], seed: int) -> list[Leak]:
    signals = next((layer for layer in truth if layer.stage == "signals"), None)
    if signals is None:
        return []
    stamps = np.repeat(signals.dates.to_numpy()[:, None], len(signals.names), axis=1)
    whole = Signals(
        signals.dates,
        signals.symbols,
        signals.names,
        signals.values.astype(np.float32),
        stamps,
        (1,) * len(signals.names),
    )
    return [replace(leak, stage="signals") for leak in check_shuffled(market, whole, seed)]


def _order(leaks: Sequence[Leak], stages: Sequence[str]) -> list[Leak]:
    """Sort by stage; of each column the earliest date comes first, and the others are dropped."""
    places = {stage: place for place, stage in reversed(list(enumerate(stages)))}
    ordered = sorted(leaks, key=lambda leak: (places.get(leak.stage, len(stages)), leak.name, leak.date))
    seen: set[tuple[str, str, str]] = set()
    kept = []
    for leak in ordered:
        key = (leak.stage, leak.name, leak.kind)
        if key not in seen:
            seen.add(key)
            kept.append(leak)
    return kept


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _absolute(plugin: str) -> str | Path:
    return Path(plugin).resolve() if plugin.endswith(".py") else plugin
