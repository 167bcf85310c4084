"""Stages by their content: what a result was computed from stands beside it, part by part.

A result is used again while every part is what it was. When one is not, the part names the reason.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import numpy as np

from alfred.agents.registry import AGENTS
from alfred.agents.settings import AgentSettings
from alfred.analysts.base import Analyst
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.saved import digest_folder
from alfred.analysts.settings import CARD_FILE, AnalystSettings, SavedSettings
from alfred.config import BlendSettings, Experiment, ForecastSettings
from alfred.data.features.registry import FEATURES
from alfred.data.files import compute_checksum, read_bytes, read_json, write_atomically
from alfred.data.market import Market
from alfred.data.prices.rates import read_rates, resolve_cash_rate
from alfred.data.settings import PREFIX as FEATURE_PREFIX
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum
from alfred.data.splits import Fold
from alfred.envs.registry import BUILT_IN_REWARDS, REWARDS
from alfred.envs.settings import PortfolioSettings, RewardSettings
from alfred.errors import AlfredError, CheckpointError
from alfred.learning.hub import WEIGHTS_FILE
from alfred.training.provenance.fingerprint import fingerprint_code

Parts = Mapping[str, object]
"""What a stage was computed from: a digest by part, or a mapping of digests by what the part consists of."""

STAGE_FILE = "stage.json"

# Whose new versions may change what is computed at length; those of all others stand in the manifest only.
FORECAST_PACKAGES = ("numpy", "torch")
BLEND_PACKAGES = ("numpy", "scipy")
TRAINING_PACKAGES = (*FORECAST_PACKAGES, "stable-baselines3")

# What walks a policy through a market, for training and for judging alike.
_LEDGER = ("alfred.evaluation.backtest", "alfred.envs.gym.episodes", "alfred.data.signals")
_CROSS_FITTING = tuple(
    f"alfred.training.cross_fitting.{name}" for name in ("folds", "blocks", "choice", "held_out", "utility")
)
_BLENDING = tuple(f"alfred.training.blending.{name}" for name in ("walk", "panels", "ridge"))
_CALIBRATION = ("alfred.analysts.calibration.calibrator",)
_SPELT = {
    "data": "the data",
    "training data": "the training data",
    "fold": "the dates of its fold",
    "folds": "the dates of the folds",
    "schedule": "the schedule of forecasts",
    "settings": "its settings",
    "environment": "the environment",
    "agents": "the trained agents",
    "baselines": "the baselines",
    "calibration": "its calibration",
    "stamps": "what its analysts had known",
    "code": "its code",
    "packages": "the versions of its packages",
}
# What follows from another part by itself is no reason of its own.
_FOLLOWS = {
    "data": ("folds", "signals", "agents", "stamps"),
    "training data": ("fold", "signals"),
    "signals": ("agents", "stamps"),
    "environment": ("agents",),
}


def compute_digest(*parts: object) -> str:
    """Return a short digest of plain values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def digest_signals(signals: Signals) -> dict[str, str]:
    """Return a digest of the signals of each analyst: their places, names, dates and values."""
    dates = np.asarray(signals.dates.to_numpy(dtype="datetime64[s]"))
    found = {}
    for analyst in signals.analysts:
        columns = [place for place, spec in enumerate(signals.specs) if spec.analyst == analyst]
        named = [(column, signals.names[column]) for column in columns]
        digest = hashlib.sha256(compute_digest(named, signals.symbols).encode())
        digest.update(dates.tobytes())
        digest.update(np.ascontiguousarray(signals.values[:, :, columns]).data)
        found[analyst] = digest.hexdigest()[:24]
    return found


def digest_stamps(signals: Signals) -> dict[str, str]:
    """Return a digest of what the models of each analyst knew: end of training and knowledge cutoff."""
    found = {}
    for analyst in signals.analysts:
        columns = [place for place, spec in enumerate(signals.specs) if spec.analyst == analyst]
        digest = hashlib.sha256(compute_digest(str(signals.knowledge_cutoffs.get(analyst))).encode())
        digest.update(np.ascontiguousarray(signals.trained_until[:, columns].astype("datetime64[s]")).tobytes())
        found[analyst] = digest.hexdigest()[:24]
    return found


def digest_environment(settings: PortfolioSettings, market: Market) -> str:
    """Return a digest of what trading costs and pays on a market: rates in a file count by what the file holds."""
    if not isinstance(settings.cash_rate_pct, Path):
        return compute_digest(settings.model_dump(mode="json"))
    rates = resolve_cash_rate(market, settings.cash_rate_pct)
    fields = settings.model_dump(mode="json", exclude={"cash_rate_pct"})
    return compute_digest(fields, hashlib.sha256(np.ascontiguousarray(rates).data).hexdigest())


def digest_analyst(settings: AnalystSettings, exclude: Set[str] = frozenset()) -> str:
    """Return a digest of the settings of an analyst.

    A folder of weights counts by what is in it: the weights, and the further files that the settings name.
    """
    fields = settings.model_dump(mode="json", exclude=set(exclude))
    folders = [Path(value).expanduser() for value in fields.values() if isinstance(value, str) and value]
    weights = [folder / WEIGHTS_FILE for folder in folders if (folder / WEIGHTS_FILE).is_file()]
    beside = [
        {name: compute_checksum(path.parent / name)}
        for path in weights
        for name in settings.beside_weights
        if (path.parent / name).is_file()
    ]
    trained = [digest_folder(folder) for folder in folders if (folder / CARD_FILE).is_file()]
    inner = [digest_analyst(item) for item in settings.inner]
    return compute_digest(fields, [compute_checksum(path) for path in weights], *beside, *trained, *inner)


def read_public_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of packages, without the mark of a build: a run may move to a machine with another one."""
    return {name: importlib.metadata.version(name).partition("+")[0] for name in packages}


def list_packages(*settings: AnalystSettings) -> tuple[str, ...]:
    """Return the packages whose versions count for forecasts of these analysts, those of each class among them."""
    own = [name for item in settings for analyst in _load_classes(item) for name in analyst.packages]
    present = [name for name in own if _is_installed(name)]
    return tuple(dict.fromkeys((*FORECAST_PACKAGES, *present)))


def fingerprint_analyst(settings: AnalystSettings) -> str:
    """Return the digest of the code of an analyst, and of what asks it for forecasts."""
    return fingerprint_code(*_load_classes(settings), alone=("alfred.training.forecasting", "alfred.training.pieces"))


def digest_calibration(settings: AnalystSettings) -> str:
    """Return a digest of how the forecasts of an analyst are calibrated: settings and code.

    It stands apart from the code of the analyst, so that raw forecasts in the cache outlive another calibration.
    """
    is_on = settings.calibration.kind != "none"
    code = fingerprint_code(modules=_CALIBRATION if is_on else (), alone=("alfred.training.recalibration",))
    return compute_digest(settings.calibration.model_dump(mode="json") if is_on else None, code)


def fingerprint_blend() -> str:
    """Return the digest of the code that combines forecasts."""
    modules = (*_CALIBRATION, "alfred.analysts.forecast", "alfred.data.labels")
    return fingerprint_code(modules=modules, alone=(*_BLENDING, "alfred.training.recalibration"))


def fingerprint_agent(settings: AgentSettings, reward: RewardSettings | None = None) -> str:
    """Return the digest of the code of an agent, of the ledger that it learns in and of what chooses its policy.

    Args:
        settings: Of the agent.
        reward: What it is paid; the code of a reward of the user's own counts as well.
    """
    own = [] if reward is None or reward.kind in BUILT_IN_REWARDS else [REWARDS.load(reward.kind)]
    return fingerprint_code(AGENTS.load(settings.kind), *own, modules=_LEDGER, alone=_CROSS_FITTING)


def describe_forecast(market_checksum: str, settings: AnalystSettings, schedule: ForecastSettings) -> Parts:
    """Return what the signals of an analyst are computed from."""
    return {
        "data": market_checksum,
        "settings": digest_analyst(settings, {"calibration"}),
        "calibration": digest_calibration(settings),
        "schedule": compute_digest(schedule.model_dump(mode="json", exclude={"cache"})),
        "code": fingerprint_analyst(settings),
        "packages": read_public_versions(list_packages(settings)),
    }


def describe_blend(market_checksum: str, signals: Signals, settings: BlendSettings) -> Parts:
    """Return what the signals of the blend are computed from; `signals` are those of the analysts."""
    return {
        "data": market_checksum,
        "signals": digest_signals(signals),
        "stamps": digest_stamps(signals),
        "settings": compute_digest(settings.model_dump(mode="json")),
        "code": fingerprint_blend(),
        "packages": read_public_versions(BLEND_PACKAGES),
    }


def describe_trainings(
    market: Market, signals: Signals, fold: Fold, settings: AgentSettings, environment: PortfolioSettings
) -> Parts:
    """Return what the trainings of an agent on a fold are computed from.

    Args:
        market: The market, already cut at the end of the validation range.
        signals: Scaled signals, cut at the same date.
        fold: The fold.
        settings: The agent.
        environment: Costs, execution, mandate and reward.
    """
    return {
        "training data": compute_market_checksum(market),
        "signals": digest_signals(signals),
        "fold": compute_digest(fold.train, fold.validation),
        "settings": compute_digest(settings.model_dump(mode="json", exclude={"name", "checkpoint_every"})),
        "environment": digest_environment(environment, market),
        "code": fingerprint_agent(settings, environment.reward),
        "packages": read_public_versions(TRAINING_PACKAGES),
    }


def describe_evaluation(
    market: Market,
    signals: Signals,
    folds: Sequence[Fold],
    experiment: Experiment,
    policies: Mapping[str, Sequence[Path]],
) -> Parts:
    """Return what the records of an evaluation are computed from.

    Args:
        market: The whole market.
        signals: Unscaled signals.
        folds: The walk-forward folds.
        experiment: Names the baselines and the environment.
        policies: Folders of the trained policies by the label of their agent.

    Raises:
        CheckpointError: A policy is missing.
    """
    classes = [type(item) for item in experiment.baselines]
    modules = (*_LEDGER, "alfred.agents.base", "alfred.agents.strategies.registry", "alfred.agents.strategies.prices")
    return {
        "data": compute_market_checksum(market),
        "signals": digest_signals(signals),
        "folds": compute_digest([fold.test for fold in folds]),
        "environment": digest_environment(experiment.env, market),
        # A list, as for baselines: records stand in the order of their strategies.
        "agents": [[label, _digest_policies(folders)] for label, folders in policies.items()],
        "baselines": compute_digest([item.model_dump(mode="json") for item in experiment.baselines]),
        "code": fingerprint_code(*classes, modules=modules, alone=("alfred.training.judging.judge",)),
    }


def hash_choice(experiment: Experiment, settings: AgentSettings) -> str:
    """Return a hash of all that a person chose on the way to an agent's results: settings, seeds and code.

    The data do not count: the same choice on a longer history is no new trial. Cash rates in a file count by what the
    file holds, wherever it is.
    """
    agent = settings.model_dump(mode="json", exclude={"name", "checkpoint_every"})
    # What was not chosen does not count: trials made before there was a blend keep their hash.
    extra = {"blend", "observe"} if experiment.blend is not None or experiment.observe is not None else set()
    chosen = experiment.model_dump(
        mode="json",
        include={"seed", "data", "analysts", "features", "forecast", "splits", "env", "training", *extra},
        exclude={
            "data": {"source", "path", "end"},
            "forecast": {"cache"},
            "training": {"n_jobs", "executor", "address"},
        },
    )
    if experiment.blend is not None and experiment.observe is None:
        chosen["observe"] = [experiment.blend.label, FEATURE_PREFIX]
    if isinstance(experiment.env.cash_rate_pct, Path):
        rates = read_rates(experiment.env.cash_rate_pct)
        chosen["env"]["cash_rate_pct"] = compute_digest([str(day) for day in rates.index], rates.tolist())
    code = [
        fingerprint_agent(settings, experiment.env.reward),
        *(fingerprint_analyst(item) for item in experiment.analysts),
        *(digest_calibration(item) for item in experiment.analysts),
    ]
    code += [] if experiment.blend is None else [fingerprint_blend()]
    own = () if experiment.features is None else (name for name in experiment.features.names if name in FEATURES)
    # Tuning a feature of one's own is a choice like any other.
    code += [fingerprint_code(FEATURES.load(name)) for name in own]
    return compute_digest(agent, chosen, code)


def read_stage(folder: Path) -> Parts | None:
    """Return what the result in a folder was computed from, or None when nothing says so."""
    try:
        raw = read_json(folder / STAGE_FILE)
    except (OSError, ValueError):
        return None
    return raw if isinstance(raw, dict) else None


def write_stage(folder: Path, parts: Parts) -> None:
    """Write what a result is computed from into its folder."""
    text = json.dumps(parts, indent=2)
    write_atomically(folder / STAGE_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def explain_change(earlier: Parts | None, now: Parts) -> str:
    """Say on one line what differs between two descriptions of a stage; empty when nothing does."""
    if earlier is None:
        return "nothing says what it was made from"
    changed = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
    if not changed:
        return ""
    followers = {name for cause in changed for name in _FOLLOWS.get(cause, ())}
    spelt = [_format(name, earlier.get(name), now.get(name)) for name in changed if name not in followers]
    return f"{', '.join(spelt[:-1])} and {spelt[-1]} changed" if len(spelt) > 1 else f"{spelt[0]} changed"


def require_same_code(now: str, stage: Parts, label: str, part: str = "code") -> None:
    """Refuse to compute a stage with other code than it is described with.

    Args:
        now: Digest of the code that is loaded.
        stage: The description.
        label: What is computed, for the message.
        part: The part of the description that names the code.

    Raises:
        AlfredError: A source was edited since the run began.
    """
    if now != stage[part]:
        raise AlfredError(f"the code of '{label}' was edited while it ran; the same command goes on with the new code")


def _load_classes(settings: AnalystSettings) -> list[type[Analyst]]:
    """Return the classes that a forecast comes from: the analyst's own, and those of the analysts inside it."""
    kinds = (settings.kind, settings.trained_kind) if isinstance(settings, SavedSettings) else (settings.kind,)
    return [ANALYSTS.load(kind) for kind in dict.fromkeys((*kinds, *(item.kind for item in settings.inner)))]


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _format(part: str, earlier: object, now: object) -> str:
    if part != "signals":
        return _SPELT.get(part, part)
    before, after = (item if isinstance(item, dict) else {} for item in (earlier, now))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"the signals of {', '.join(names)}"


def _digest_policies(folders: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for name in ("policy.json", "policy.safetensors"):
            try:
                digest.update(read_bytes(folder / name))
            except OSError as error:
                raise CheckpointError(f"{folder} does not hold a policy ({error}); run `alfred train`") from error
    return digest.hexdigest()[:24]
