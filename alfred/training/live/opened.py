"""A run opened for what comes after it: data, signals and policies as far as they are known, and how old they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from alfred.agents.settings import AgentSettings
from alfred.config import Experiment
from alfred.data.files import read_json
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum, load_market
from alfred.data.splits import Fold
from alfred.errors import CheckpointError, ConfigError, DataError, suggest
from alfred.evaluation.backtest import Stage
from alfred.training.cross_fitting.folds import TrainedAgent, load_trained, locate_training
from alfred.training.judging.walking import make_stages
from alfred.training.live.schedule import extend_folds
from alfred.training.prepared import Prepared, cut_folds
from alfred.training.provenance.stages import describe_trainings, explain_change, read_stage
from alfred.training.runs import LIVE_KEYS, RunFolder, list_seeds, load_run, read_manifest

STATE_FILE, BARS_FILE, SIGNALS_FILE = "state.json", "bars.parquet", "signals.parquet"


@dataclass(frozen=True)
class Known:
    """What a run knows since its last update; that of a run that was never updated is what it was made from.

    Attributes:
        until: Last session.
        checksum: Of the market up to there.
        run_checksum: Of the market that the run was made from.
        updated: Whether there was an update.
    """

    until: pd.Timestamp
    checksum: str
    run_checksum: str
    updated: bool


@dataclass(frozen=True)
class LiveRun:
    """A run and what came after it.

    Attributes:
        prepared: Market, signals and folds, all up to the last session that is known.
        base: The folds of the run itself.
        available: Last session in the data; later than what is known until `alfred update` has been there.
        notes: What a reader should know, one sentence each.
    """

    prepared: Prepared
    base: Sequence[Fold]
    available: pd.Timestamp
    notes: tuple[str, ...] = ()

    @property
    def until(self) -> pd.Timestamp:
        """Last session that is known."""
        return self.prepared.market.dates[-1]

    def find_agent(self, name: str | None) -> AgentSettings:
        """Return the settings of an agent, the first one when left out.

        Raises:
            ConfigError: No agent has that name.
        """
        agents = self.prepared.experiment.agents
        labels = [settings.label for settings in agents]
        if name is not None and name not in labels:
            raise ConfigError(f"no agent is called '{name}'; the run has {', '.join(labels)}.{suggest(name, labels)}")
        return agents[0] if name is None else agents[labels.index(name)]

    def load_stages(self, settings: AgentSettings) -> list[Stage]:
        """Return one policy a fold, all seeds averaged, each from the first session that it decides for.

        Raises:
            CheckpointError: A training is missing or damaged.
        """
        trained = [
            item for fold in self.prepared.folds for item in load_fold(self.prepared, fold, len(self.base), settings)
        ]
        return make_stages(settings, trained, self.prepared.folds)


def open_live(path: Path | str, overrides: Sequence[str] = ()) -> LiveRun:
    """Open a run up to the last session that it knows.

    Args:
        path: Its directory.
        overrides: `a.b=value` each; see `alfred.training.runs.LIVE_KEYS`.

    Raises:
        ConfigError: The directory holds no run.
        DataError: The data of what was known have changed, or end earlier.
        CheckpointError: Signals are missing or damaged, or the run was made again since its last update.
    """
    run, experiment, market = load_live(path, overrides)
    known = read_known(run)
    if market.dates[-1] < known.until:
        raise DataError(
            f"the data end {market.dates[-1].date()}, and {run.path} knows sessions until {known.until.date()}; "
            "restore the data, or say where they are with --set data.path=..."
        )
    cut = market.until(known.until)
    if compute_market_checksum(cut) != known.checksum:
        raise DataError(
            f"the data until {known.until.date()} are not what {run.path} knows; `alfred update {run.path}` says what "
            "was restated"
        )
    base = cut_base_folds(run, experiment, cut)
    signals = read_signals(run, known).until(known.until)
    prepared = Prepared(experiment, run, cut, extend_trained(run, experiment, base, cut), signals)
    return LiveRun(prepared, base, market.dates[-1], _list_notes(prepared, base, market, known))


def load_live(
    path: Path | str, overrides: Sequence[str] = (), *, fresh: bool = False
) -> tuple[RunFolder, Experiment, Market]:
    """Return a run and its data as they are now, with the symbols of the run.

    Args:
        path: Its directory.
        overrides: `a.b=value` each, after those of earlier updates.
        fresh: Forget those of earlier updates.

    Raises:
        ConfigError: The directory holds no run.
        DataError: The data cannot be read, or lack a symbol of the run.
    """
    earlier = [] if fresh else read_overrides(RunFolder(Path(path)))
    run, experiment = load_run(path, [*earlier, *overrides], LIVE_KEYS)
    market = load_market(experiment.data)
    symbols = Signals.load(run.signals).symbols
    if market.symbols != symbols:
        missing = [symbol for symbol in symbols if symbol not in market.symbols]
        if missing:
            raise DataError(f"the data no longer hold {', '.join(missing[:5])}, which {run.path} trades; restore them")
        market = market.select(symbols, benchmark=market.benchmark)
    return run, experiment, market


def read_overrides(run: RunFolder) -> list[str]:
    """Return what earlier updates were told with `--set`: where the data are does not have to be said each time."""
    try:
        raw = read_json(run.live / STATE_FILE)
    except (OSError, ValueError):
        return []  # `read_known` says what is wrong
    found = raw.get("overrides") if isinstance(raw, dict) else None
    return list(dict.fromkeys(map(str, found))) if isinstance(found, list) else []


def read_known(run: RunFolder) -> Known:
    """Return what a run knows.

    Raises:
        CheckpointError: Its state is damaged, or belongs to an earlier run of this name.
    """
    run_checksum = str(read_manifest(run).get("data_checksum"))
    path = run.live / STATE_FILE
    if not path.exists():
        return Known(Signals.load(run.signals).dates[-1], run_checksum, run_checksum, updated=False)
    try:
        raw = read_json(path)
        known = Known(pd.Timestamp(raw["until"]), str(raw["checksum"]), str(raw["run_checksum"]), updated=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); `alfred update {run.path} --fresh` starts over") from error
    if known.run_checksum != run_checksum:
        raise CheckpointError(
            f"{run.path} was made again since its last update; `alfred update {run.path} --fresh` starts over"
        )
    return known


def read_signals(run: RunFolder, known: Known) -> Signals:
    """Return the signals of a run, and those that came after it.

    Raises:
        SignalError: They are missing or damaged.
    """
    return Signals.load(run.live / SIGNALS_FILE if known.updated else run.signals)


def cut_base_folds(run: RunFolder, experiment: Experiment, market: Market) -> list[Fold]:
    """Return the folds of a run, cut as when it was made."""
    return cut_folds(market.until(Signals.load(run.signals).dates[-1]), experiment)


def extend_trained(run: RunFolder, experiment: Experiment, base: Sequence[Fold], market: Market) -> list[Fold]:
    """Return the folds as they go on, those only that every agent was trained on."""
    folds = extend_folds(base, market.dates, experiment)
    kept = list(folds[: len(base)])
    for fold in folds[len(base) :]:
        places = [
            locate_training(locate_agent(run, settings.label), fold.index, seed)
            for settings in experiment.agents
            for seed in list_seeds(experiment)
        ]
        if not all((place / "scores.json").exists() for place in places):
            break
        kept.append(fold)
    return kept


def locate_agent(run: RunFolder, label: str) -> Path:
    """Return the folder of the trainings of an agent that came after the run."""
    return run.live / "agents" / run.agent(label).name


def load_fold(prepared: Prepared, fold: Fold, n_base: int, settings: AgentSettings) -> list[TrainedAgent]:
    """Return the trainings of an agent on a fold, one a seed.

    Args:
        prepared: The run.
        fold: Which one.
        n_base: Folds of the run itself.
        settings: The agent.

    Raises:
        CheckpointError: One is missing or damaged.
    """
    folder = prepared.run.agent(settings.label)
    if fold.index >= n_base:
        folder = locate_agent(prepared.run, settings.label)
    seeds = list_seeds(prepared.experiment)
    return [load_trained(locate_training(folder, fold.index, seed), fold.index, seed) for seed in seeds]


def describe_age(live: LiveRun, today: date | None = None) -> dict[str, Any]:
    """Return how old data, forecasts and policies are: dates, and days before `today`.

    Args:
        live: The run.
        today: The date of the clock when left out.
    """
    day = pd.Timestamp(today or date.today())
    prepared = live.prepared
    stamps: Mapping[str, pd.Timestamp] = {
        "data": live.until,
        "available": live.available,
        "analysts": pd.Timestamp(prepared.signals.trained_until[-1].min())
        if prepared.signals.n_signals
        else live.until,
        "policy": prepared.folds[-1].validation[1],
    }
    return {name: {"date": str(stamp.date()), "days": int((day - stamp).days)} for name, stamp in stamps.items()}


def _list_notes(prepared: Prepared, base: Sequence[Fold], market: Market, known: Known) -> tuple[str, ...]:
    notes = []
    if market.dates[-1] > known.until:
        notes.append(
            f"the data reach {market.dates[-1].date()}, forecasts end {known.until.date()}: "
            f"`alfred update {prepared.run.path}` brings them up to date"
        )
    due = extend_folds(base, prepared.market.dates, prepared.experiment)
    if len(due) > len(prepared.folds):
        notes.append(f"the agents are due to be refitted: `alfred update {prepared.run.path}` does so")
    notes += _find_other_trainings(prepared, len(base))
    return tuple(notes)


def _find_other_trainings(prepared: Prepared, n_base: int) -> list[str]:
    """Return a sentence for each agent whose last policy was trained on anything but what stands in the run."""
    fold = prepared.folds[-1]
    known = prepared.market.until(fold.validation[1])
    signals = prepared.observed.scaled().until(fold.validation[1])
    found = []
    for settings in prepared.experiment.agents:
        folder = prepared.run.agent(settings.label)
        if fold.index >= n_base:
            folder = locate_agent(prepared.run, settings.label)
        earlier = read_stage(locate_training(folder, fold.index, prepared.experiment.seed))
        now = describe_trainings(known, signals, fold, settings, prepared.experiment.env)
        if earlier is not None and (reason := explain_change(earlier, now)):
            found.append(f"the last policy of {settings.label} was trained on something else: {reason}")
    return found
