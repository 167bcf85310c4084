"""The run directory: everything that a run needed and made, and nothing outside it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alfred.config import Experiment, load_experiment
from alfred.data.files import read_json, write_atomically
from alfred.data.market import Market
from alfred.data.sources import compute_market_checksum
from alfred.data.splits import Fold
from alfred.errors import ConfigError, suggest_path
from alfred.plugins import describe_packages, describe_plugins
from alfred.settings import check_name
from alfred.training.provenance.trials import DataIdentity
from alfred.version import __version__

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
_WHERE = ("training.n_jobs", "training.executor", "training.address")
# What a later command may change about a run without training anything again, by command.
EVALUATION_KEYS = ("data.path", "data.options", "baselines", "intervals", "n_trials", *_WHERE)
LIVE_KEYS = ("data.path", "data.options", "data.end", *_WHERE)
REPORT_KEYS = ("data.path", "data.options", "intervals", "n_trials")


@dataclass(frozen=True)
class RunFolder:
    """Where the files of one run stand.

    Attributes:
        path: The directory, `runs/NAME`.
    """

    path: Path

    @property
    def root(self) -> Path:
        """Folder of all runs, where the log of trials stands; that of the run itself when `path` is a link to one."""
        return self.path.resolve().parent

    @property
    def name(self) -> str:
        """Name of the run, however `path` spells it."""
        return self.path.resolve().name

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
    def forecasts(self) -> Path:
        """Folder of the signals of each analyst, a folder each."""
        return self.path / "forecasts"

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

    @property
    def explanation(self) -> Path:
        """What moves the weights of an agent, JSON."""
        return self.path / "explain.json"

    @property
    def ablation(self) -> Path:
        """What is lost without each signal, feature and analyst, JSON."""
        return self.path / "ablation.json"

    @property
    def summary(self) -> Path:
        """Folder of the event files that show configuration, signals and verdict in TensorBoard."""
        return self.path / "summary"

    @property
    def live(self) -> Path:
        """Folder of what was learnt since the run was made: bars, signals and policies that came later."""
        return self.path / "live"

    def agent(self, label: str) -> Path:
        """Folder of one agent's trainings and curves."""
        return self.path / "agents" / check_name(label, "agent")


def open_run(experiment: Experiment, root: Path | str, market: Market, *, fresh: bool = False) -> RunFolder:
    """Make the directory of a run, or go on with the one that is there.

    A run may go on with another configuration: each stage knows what it was made from, and what does not hold any more
    is made again. Only a run on another market is kept: nothing of it could be used, and all of it would be lost.

    Args:
        experiment: The run; its name is that of the directory.
        root: Folder of all runs.
        market: The data of the run.
        fresh: Delete what an earlier run of this name left.

    Raises:
        ConfigError: The directory holds a run on another market, or something that is not a run.
    """
    run = locate_run(experiment, root)
    if run.path.exists() and not run.config.exists() and any(run.path.iterdir()):
        raise ConfigError(f"{run.path} is not empty and holds no run; choose another name with --set name=...")
    if fresh and run.config.exists():
        place = run.path.resolve()  # a link stays a link
        shutil.rmtree(place)
        place.mkdir()
    if run.manifest.exists():
        identity, earlier = DataIdentity.from_market(market), _find_identity(run)
        if earlier is not None and not identity.matches(earlier):
            raise ConfigError(
                f"{run.path} holds a run on another market ({_format_identity(earlier)} there, "
                f"{_format_identity(identity)} here); start over with --fresh, or choose another name with "
                "--set name=..."
            )
    write_config(run, experiment)
    return run


def locate_run(experiment: Experiment, root: Path | str) -> RunFolder:
    """Return where a run stands."""
    return RunFolder(Path(root) / check_name(experiment.name, "run"))


def write_config(run: RunFolder, experiment: Experiment) -> None:
    """Write the resolved configuration."""
    text = experiment.to_yaml()
    write_atomically(run.config, lambda path: path.write_text(text, encoding="utf-8"))


def load_run(
    path: Path | str, overrides: Sequence[str] = (), accepted: Sequence[str] = EVALUATION_KEYS
) -> tuple[RunFolder, Experiment]:
    """Find the run in a directory.

    Args:
        path: The directory.
        overrides: `a.b=value` each; see `load_experiment`.
        accepted: Keys that they may change.

    Raises:
        ConfigError: There is none, its configuration is damaged, or an override would need a new training.
    """
    run = RunFolder(Path(path))
    if not run.config.is_file():
        hint = suggest_path(path, below="runs") if not run.path.is_dir() else ""
        raise ConfigError(f"{path} holds no run (no config.yaml); make one with `alfred run`.{hint}")
    for override in overrides:
        key = override.partition("=")[0]
        if not any(key == name or key.startswith(f"{name}.") for name in accepted):
            raise ConfigError(
                f"--set {key} cannot change what is done already; only {', '.join(accepted)} can be set here. Use "
                f"`alfred run {run.config} --set {override}`, which makes again what it concerns"
            )
    try:
        return run, load_experiment(run.config, overrides)
    except ConfigError as error:
        if missing := _find_missing_plugins(run):
            raise ConfigError(f"{error}; the run was made with {' '.join(missing)}") from error
        if overrides or "is not valid YAML" not in str(error):
            raise
        raise ConfigError(f"{error}; the run is damaged, run again with --fresh") from error


def _find_missing_plugins(run: RunFolder) -> list[str]:
    """Return the plugins and packages that a run was made with and that this process does not have, as one says it."""
    try:
        manifest = read_manifest(run)
    except ConfigError:
        return []

    def read(key: str) -> list[dict[str, object]]:
        entries = manifest.get(key)
        return [item for item in entries if isinstance(item, dict)] if isinstance(entries, list) else []

    loaded = {item["name"] for item in describe_plugins()}
    missing = [f"--plugin {item['name']}" for item in read("plugins") if item.get("name", "") not in {"", *loaded}]
    for item in read("extensions"):
        name, version = str(item.get("distribution", "?")), item.get("version", "?")
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"the package {name} {version}, which is not installed")
    return missing


def write_manifest(run: RunFolder, experiment: Experiment, market: Market, folds: Sequence[Fold]) -> None:
    """Write what another person needs to get the same numbers."""
    identity = DataIdentity.from_market(market)
    manifest = {
        "alfred": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": read_versions(),
        "plugins": describe_plugins(),
        "extensions": describe_packages(),
        "seeds": list_seeds(experiment),
        "data_checksum": compute_market_checksum(market),
        "benchmark": identity.benchmark,
        "universe": identity.symbols,
        "folds": [str(fold) for fold in folds],
    }
    text = json.dumps(manifest, indent=2, default=str)
    write_atomically(run.manifest, lambda path: path.write_text(text, encoding="utf-8"))


def read_manifest(run: RunFolder) -> dict[str, object]:
    """Read what `write_manifest` wrote.

    Raises:
        ConfigError: It is missing or damaged.
    """
    try:
        manifest = read_json(run.manifest)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{run.manifest} cannot be read ({error}); `alfred run {run.config}` writes it again"
        ) from error
    if not isinstance(manifest, dict):
        raise ConfigError(f"{run.manifest} is damaged; `alfred run {run.config}` writes it again")
    return manifest


def read_versions() -> dict[str, str]:
    """Return the versions of the packages that can change a number."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def list_seeds(experiment: Experiment) -> list[int]:
    """Return the seeds of the trainings."""
    return list(range(experiment.seed, experiment.seed + experiment.training.n_seeds))


def _find_identity(run: RunFolder) -> DataIdentity | None:
    """Return the data that a run was made on, or None when its manifest is damaged: it is written again."""
    try:
        manifest = read_manifest(run)
    except ConfigError:
        return None
    benchmark, symbols = manifest.get("benchmark"), manifest.get("universe")
    if not isinstance(benchmark, str) or not isinstance(symbols, list):
        return None
    return DataIdentity(benchmark, tuple(str(symbol) for symbol in symbols))


def _format_identity(identity: DataIdentity) -> str:
    shown = ", ".join(identity.symbols[:3]) + (", ..." if len(identity.symbols) > 3 else "")
    return f"{shown} against {identity.benchmark}"
