"""The run directory: everything that a run needed and made, and nothing outside it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from alfred import __version__
from alfred.config import Experiment, parse_experiment
from alfred.data.files import write_atomically
from alfred.errors import ConfigError

_PACKAGES = (
    "gymnasium",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "skfolio",
    "stable-baselines3",
    "torch",
)
# What may differ between two commands that continue one run: neither changes a number.
_FREE = {"training": {"n_jobs"}, "forecast": {"cache"}}


@dataclass(frozen=True)
class RunFolder:
    """Where the files of one run stand.

    Attributes:
        path: The directory, `runs/NAME`.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration; it can be run again as it is."""
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        """Versions, seeds and checksums."""
        return self.path / "manifest.json"

    @property
    def signals(self) -> Path:
        """The joined signals, Parquet, with their description beside them."""
        return self.path / "signals.parquet"

    @property
    def backtests(self) -> Path:
        """Folder of the daily records, one Parquet file a strategy."""
        return self.path / "backtests"

    @property
    def seed_backtests(self) -> Path:
        """Folder of the daily records of the first agent's seeds."""
        return self.path / "backtests" / "seeds"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def results(self) -> Path:
        """The numbers of the page, JSON."""
        return self.path / "results.json"

    def agent(self, label: str) -> Path:
        """Folder of one agent's trainings and curves."""
        return self.path / "agents" / label


def open_run(experiment: Experiment, root: Path | str, *, fresh: bool = False) -> RunFolder:
    """Make the directory of a run, or go on with one of the same configuration.

    Args:
        experiment: The run; its name is that of the directory.
        root: Folder of all runs.
        fresh: Delete what an earlier run of this name left.

    Raises:
        ConfigError: The directory holds a run with another configuration, or something that is no run.
    """
    run = RunFolder(Path(root) / experiment.name)
    if run.path.exists() and not run.config.exists() and any(run.path.iterdir()):
        raise ConfigError(f"{run.path} is not empty and holds no run; choose another name with --set name=...")
    if fresh and run.config.exists():
        shutil.rmtree(run.path)
    if run.config.exists():
        earlier = load_run(run.path)[1]
        if difference := _find_difference(_comparable(earlier), _comparable(experiment)):
            raise ConfigError(
                f"{run.path} holds a run with another configuration ({difference}); "
                "start over with --fresh, or choose another name with --set name=..."
            )
    text = experiment.to_yaml()
    write_atomically(run.config, lambda path: path.write_text(text, encoding="utf-8"))
    return run


def load_run(path: Path | str) -> tuple[RunFolder, Experiment]:
    """Find the run in a directory.

    Raises:
        ConfigError: There is none, or its configuration is damaged.
    """
    run = RunFolder(Path(path))
    try:
        raw = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} holds no run (no config.yaml); make one with `alfred run`") from error
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{run.config} is damaged ({' '.join(str(error).split())}); run again with --fresh"
        ) from error
    return run, parse_experiment(raw, source=str(run.config))


def write_manifest(run: RunFolder, experiment: Experiment, facts: Mapping[str, object]) -> None:
    """Write what another person needs to get the same numbers."""
    manifest = {
        "alfred": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": read_versions(),
        "seeds": list_seeds(experiment),
        **facts,
    }
    text = json.dumps(manifest, indent=2, default=str)
    write_atomically(run.manifest, lambda path: path.write_text(text, encoding="utf-8"))


def read_manifest(run: RunFolder) -> dict[str, object]:
    """Read what `write_manifest` wrote.

    Raises:
        ConfigError: It is missing or damaged.
    """
    try:
        return dict(json.loads(run.manifest.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{run.manifest} cannot be read ({error}); run again with --fresh") from error


def read_versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def list_seeds(experiment: Experiment) -> list[int]:
    """Return the seeds of the trainings."""
    return list(range(experiment.seed, experiment.seed + experiment.training.n_seeds))


def _comparable(experiment: Experiment) -> dict[str, object]:
    return json.loads(experiment.model_dump_json(exclude=_FREE))  # type: ignore[no-any-return]


def _find_difference(earlier: object, now: object, key: str = "") -> str:
    """Return the first key at which two configurations differ, with both values; empty when they are equal."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        for name in {**earlier, **now}:
            if found := _find_difference(earlier.get(name), now.get(name), f"{key}.{name}".lstrip(".")):
                return found
        return ""
    if isinstance(earlier, list) and isinstance(now, list) and len(earlier) == len(now):
        pairs = enumerate(zip(earlier, now, strict=True))
        return next((found for i, (a, b) in pairs if (found := _find_difference(a, b, f"{key}.{i}"))), "")
    return "" if earlier == now else f"{key}: {earlier!r} there, {now!r} here"
