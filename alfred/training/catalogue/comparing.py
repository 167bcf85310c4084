"""Runs side by side, from their directories: what `alfred compare` shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from alfred.errors import CheckpointError, ConfigError, suggest_path
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.headline import Training
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.side_by_side.comparison import Comparison, JudgedRun, TrialCount, compare
from alfred.training.catalogue.entries import find_state, list_labels, read_config, read_results
from alfred.training.judging.judge import EQUAL_WEIGHT
from alfred.training.provenance.stages import STAGE_FILE
from alfred.training.provenance.trials import DataIdentity, Trial, TrialLog, select_trials
from alfred.training.runs import RunFolder, read_manifest


def compare_runs(
    paths: Sequence[Path | str], *, to: str | None = None, strategies: Sequence[str] = (), everything: bool = False
) -> Comparison:
    """Put the strategies of runs side by side, from the records of their last evaluation.

    No data, no plugin and no policy is read. What is no evaluated run is left out with a caveat, so that `runs/*` may
    be given; a directory given twice is one run.

    Args:
        paths: Directories of runs, the one to compare with first.
        to: Name of the reference instead: a row, or a run for its first agent.
        strategies: Names of the strategies that are shown beside the benchmark and equal weight; the first agent of
            each run when left out.
        everything: Show all strategies.

    Raises:
        AlfredError: A directory does not exist, none of them holds an evaluated run, or they cannot be compared.
    """
    places = _list_places(paths)
    runs, left_out = list[JudgedRun](), list[str]()
    names = _name_runs(places)
    folders = []
    for place, name in zip(places, names, strict=True):
        try:
            runs.append(open_judged(RunFolder(place), name))
            folders.append(RunFolder(place))
        except (CheckpointError, ConfigError) as error:
            left_out.append(str(error))
    if not runs:
        raise ConfigError(f"there is no evaluated run to compare: {'; '.join(left_out) or 'nothing is named'}")
    if len(runs) == 1 and left_out and not everything:
        raise ConfigError(f"there is nothing to compare {runs[0].name} with: {'; '.join(left_out)}")
    trials = count_compared_trials(runs, folders)
    found = compare(
        runs, trials, to=to, strategies=strategies, everything=everything, intervals=_read_intervals(runs[0].config)
    )
    return found.add_caveats([f"Left out: {text}" for text in left_out])


def open_judged(run: RunFolder, name: str) -> JudgedRun:
    """Read what an evaluated run has left.

    Args:
        run: Its directory.
        name: How it is called in the comparison.

    Raises:
        ConfigError: The directory holds no run.
        CheckpointError: The run was not evaluated, or what it left is damaged.
    """
    if not run.config.is_file():
        hint = suggest_path(run.path, below="runs") if not run.path.is_dir() else ""
        raise ConfigError(f"{run.path} holds no run (no config.yaml).{hint}")
    config, manifest = read_config(run), read_manifest(run)
    labels = list_labels(config, "agents")
    benchmark, symbols = manifest.get("benchmark"), manifest.get("universe")
    if not labels or not isinstance(benchmark, str) or not isinstance(symbols, list):
        raise CheckpointError(f"{run.path} is damaged: its configuration or its manifest lacks what every run has")
    state, reason = find_state(run)
    if not (run.backtests / STAGE_FILE).is_file():
        command = f"alfred evaluate {run.path}" if state == "trained" else f"alfred run {run.config}"
        raise CheckpointError(f"{run.path} was not evaluated yet ({state}); `{command}` does so")
    records = [Backtest.load(path) for path in sorted(run.backtests.glob("*.parquet"))]
    if [record.name for record in records[: len(labels)]] != labels:
        raise CheckpointError(
            f"the records of {run.path} are not of its configuration ({state}); run `alfred evaluate {run.path}`"
        )
    held = [record.name for record in records]
    if benchmark not in held or any(not record.dates.equals(records[0].dates) for record in records):
        raise CheckpointError(f"the records of {run.path} do not belong together; run `alfred evaluate {run.path}`")
    if odd := [record.name for record in records if not np.isfinite([record.net, record.benchmark]).all()]:
        raise CheckpointError(
            f"the record of {odd[0]} in {run.path} holds a return that is not finite; run `alfred evaluate {run.path}`"
        )
    caveats = () if state == "finished" else (f"this run is {state} ({reason}), and its records may be older.",)
    return JudgedRun(
        name=name,
        agents=records[: len(labels)],
        baselines=records[len(labels) :],
        benchmark=benchmark,
        equal_weight=EQUAL_WEIGHT if EQUAL_WEIGHT in held else None,
        symbols=tuple(str(symbol) for symbol in symbols),
        config=config,
        trainings=_read_trainings(run),
        caveats=caveats,
    )


def count_compared_trials(runs: Sequence[JudgedRun], folders: Sequence[RunFolder]) -> TrialCount:
    """Return the trials behind runs: those that any of their logs holds, and those that were declared.

    A choice in several logs is one trial. Agents that no log knows count as well; of trials that were made elsewhere,
    the largest number that one configuration declares.

    Args:
        runs: The runs.
        folders: Their directories, in the same order.
    """
    chosen: dict[tuple[object, ...], Trial] = {}
    missing = 0
    for run, folder in zip(runs, folders, strict=True):
        log = TrialLog(folder.root).read()
        dates = run.agents[0].dates
        for trial in select_trials(log, DataIdentity(run.benchmark, run.symbols), dates[0], dates[-1]):
            chosen[trial.choice] = trial
        known = {trial.strategy for trial in log if trial.run == folder.name}
        missing += sum(record.name not in known for record in run.agents)
    declared = max((_read_count(run.config, "n_trials") for run in runs), default=0)
    sharpes = [math.nan if trial.sharpe is None else trial.sharpe for trial in chosen.values()]
    return TrialCount(max(declared + len(chosen) + missing, 1), sharpes)


def _list_places(paths: Sequence[Path | str]) -> list[Path]:
    """Return the directories, each once; files beside runs are passed over, as `runs/*` names them too."""
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise ConfigError(f"{path} does not exist; name directories of runs, such as runs/demo")
        if path.is_dir():
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _name_runs(places: Sequence[Path]) -> list[str]:
    """Return a name for each run: that of its directory, or its path where two are called alike."""
    names = [RunFolder(place).name for place in places]
    return [str(place) if names.count(name) > 1 else name for place, name in zip(places, names, strict=True)]


def _read_trainings(run: RunFolder) -> dict[str, tuple[Training, ...]]:
    """Return what the trainings of each agent kept, as the report says; nothing where it does not."""
    found: dict[str, tuple[Training, ...]] = {}
    for row in read_results(run):
        kept = row.get("kept")
        if not isinstance(kept, list):
            continue
        try:
            found[str(row["name"])] = tuple(_to_training(item) for item in kept)
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _to_training(item: Mapping[str, Any]) -> Training:
    nan = math.nan
    numbers = {name: nan if item[name] is None else float(item[name]) for name in ("utility", "gain", "gain_error")}
    p_value = nan if item["p_value"] is None else float(item["p_value"])
    return Training(int(item["fold"]), int(item["seed"]), int(item["step"]), p_value=p_value, **numbers)


def _read_intervals(config: Mapping[str, Any]) -> IntervalSettings:
    try:
        return IntervalSettings.model_validate(config.get("intervals") or {})
    except ValidationError:
        return IntervalSettings()


def _read_count(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else 0
