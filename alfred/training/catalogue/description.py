"""One run whole: what was set, what is done, what it takes, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alfred.agents.registry import AGENTS
from alfred.agents.strategies.registry import BASELINES
from alfred.analysts.registry import ANALYSTS
from alfred.config import Experiment
from alfred.errors import ConfigError
from alfred.evaluation.side_by_side.configuration import ABSENT, SettingDifference, flatten, name_entry
from alfred.registry import Registry
from alfred.training.catalogue.entries import (
    Entry,
    describe_entry,
    list_labels,
    locate,
    measure_size,
    read_config,
    read_results,
)
from alfred.training.cross_fitting.folds import SCORES_FILE, locate_training
from alfred.training.provenance.stages import STAGE_FILE
from alfred.training.provenance.trials import Trial, TrialLog
from alfred.training.runs import RunFolder, read_manifest

_REGISTRIES: Mapping[str, Registry[Any]] = {"analysts": ANALYSTS, "agents": AGENTS, "baselines": BASELINES}


@dataclass(frozen=True)
class Stage:
    """A stage of a run.

    Attributes:
        name: What it makes.
        done: Pieces that are finished.
        asked: Pieces that the configuration asks for.
    """

    name: str
    done: int
    asked: int


@dataclass(frozen=True)
class RunDescription:
    """One run whole.

    Attributes:
        entry: What the list of runs says of it.
        made_with: Versions of alfred and of Python, and the benchmark, the symbols and the seeds.
        settings: What differs from the defaults: the default, and the value.
        stages: How far each stage is.
        sizes: Bytes by part, the largest first.
        headline: The verdict in one line; empty while the run is not finished.
        trials: Its lines in the log of trials.
    """

    entry: Entry
    made_with: Mapping[str, str]
    settings: tuple[SettingDifference, ...]
    stages: tuple[Stage, ...]
    sizes: Mapping[str, int]
    headline: str
    trials: tuple[Trial, ...]

    def to_json(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            **self.entry.to_json(),
            "made_with": dict(self.made_with),
            "settings": {item.key: {"default": item.values[0], "value": item.values[1]} for item in self.settings},
            "stages": {item.name: {"done": item.done, "asked": item.asked} for item in self.stages},
            "sizes": dict(self.sizes),
            "headline": self.headline,
            "trials": [
                {
                    "time": item.time,
                    "strategy": item.strategy,
                    "start": item.start,
                    "end": item.end,
                    "sharpe": item.sharpe,
                }
                for item in self.trials
            ],
        }


def describe_run(name: Path | str, root: Path | str) -> RunDescription:
    """Return all that there is to say of a run.

    Args:
        name: Name of the run, or its directory.
        root: The folder of runs.

    Raises:
        ConfigError: It is no run of that folder.
    """
    path = locate(name, root)
    run = RunFolder(path)
    trials = tuple(trial for trial in TrialLog(root).read() if trial.run == path.name)
    config, manifest, rows = read_config(run), read_manifest(run), read_results(run)
    universe, seeds = manifest.get("universe"), manifest.get("seeds")
    entry = describe_entry(path, len(trials))
    return RunDescription(
        entry=entry,
        made_with={
            "alfred": str(manifest.get("alfred")),
            "python": str(manifest.get("python")),
            "benchmark": str(manifest.get("benchmark")),
            "symbols": ", ".join(map(str, universe)) if isinstance(universe, list) else "",
            "seeds": ", ".join(map(str, seeds)) if isinstance(seeds, list) else "",
        },
        settings=tuple(find_changes(config)),
        stages=tuple(_list_stages(run, config, manifest)),
        sizes=_measure_parts(path),
        headline=str(rows[0].get("headline") or "") if rows and entry.state == "finished" else "",
        trials=trials,
    )


def find_changes(config: Mapping[str, Any]) -> list[SettingDifference]:
    """Return where a configuration differs from the defaults.

    An analyst, agent or baseline that the defaults do not have is held against the defaults of its kind; of one whose
    kind is not known here, all settings are told.

    Args:
        config: A resolved one, as in `config.yaml`.
    """
    defaults = Experiment().model_dump(mode="json")
    base = flatten(defaults)
    for part, registry in _REGISTRIES.items():
        known = {name_entry(item) for item in defaults[part]}
        entries = config.get(part)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, Mapping) and name_entry(entry) not in known:
                base |= flatten({part: [{**_read_defaults(registry, entry), "name": name_entry(entry)}]}, listed=False)
    return [
        SettingDifference(key, (base.get(key, ABSENT), value))
        for key, value in flatten(config).items()
        if key != "name" and base.get(key) != value
    ]


def _read_defaults(registry: Registry[Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of the kind of an entry; nothing but the kind where it is not known or needs more."""
    kind = entry.get("kind")
    try:
        found = registry.load_settings(kind).model_validate({"kind": kind}).model_dump(mode="json")
    except (ConfigError, ValueError):
        return {"kind": kind}
    return dict(found)


def _list_stages(run: RunFolder, config: Mapping[str, Any], manifest: Mapping[str, object]) -> list[Stage]:
    analysts = list_labels(dict(config), "analysts")
    blend = config.get("blend")
    analysts += [name_entry(blend)] if isinstance(blend, Mapping) else []
    folds, seeds = manifest.get("folds"), manifest.get("seeds")
    stages = [
        Stage("forecasts", sum((run.forecasts / label / STAGE_FILE).is_file() for label in analysts), len(analysts))
    ]
    for label in list_labels(dict(config), "agents"):
        places = [
            locate_training(run.path / "agents" / label, fold, int(seed)) / SCORES_FILE
            for fold in range(len(folds) if isinstance(folds, list) else 0)
            for seed in (seeds if isinstance(seeds, list) else [])
        ]
        stages.append(Stage(f"trainings of {label}", sum(place.is_file() for place in places), len(places)))
    stages.append(Stage("evaluation", int((run.backtests / STAGE_FILE).is_file()), 1))
    stages.append(Stage("report", int(run.report.is_file()), 1))
    return stages


def _measure_parts(path: Path) -> dict[str, int]:
    """Return the bytes of each part of a run, those of plain files below the names that they share."""
    sizes: dict[str, int] = {}
    for item in path.iterdir():
        name = item.name if item.is_dir() else item.name.partition(".")[0] or "half-written files"
        size = measure_size(item) if item.is_dir() else item.lstat().st_size
        sizes[name] = sizes.get(name, 0) + size
    return dict(sorted(sizes.items(), key=lambda pair: -pair[1]))
