"""The experiment: every configuration model composed into one, read from YAML, overridden by `--set`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from alfred.agents.registry import AGENTS
from alfred.agents.settings import AgentSettings
from alfred.agents.strategies.prices import BaselineSettings
from alfred.agents.strategies.registry import BASELINES, DEFAULT_BASELINES
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import MOST_SESSIONS, AnalystSettings, CalibrationSettings
from alfred.data.settings import PREFIX as FEATURE_PREFIX
from alfred.data.settings import DataSettings, FeatureSettings, SplitSettings
from alfred.envs.settings import PortfolioSettings
from alfred.errors import ConfigError, suggest_path
from alfred.evaluation.settings import IntervalSettings
from alfred.keys.describe import list_model_keys
from alfred.keys.mistakes import explain_errors, find_first, find_holder, shorten
from alfred.keys.yaml_text import parse_yaml
from alfred.registry import Registry
from alfred.settings import REFUSED_ENTRY, Name, Settings, check_name, parse_entry

DEFAULT_LISTS: Mapping[str, list[dict[str, object]]] = {
    "analysts": [
        {"kind": "naive"},
        {"kind": "momentum"},
        {"kind": "lstm", "refit_every_days": 1260},
        # Trained from scratch at a tiny size, so that the whole pipeline runs offline: rarely refitted, not every day.
        {"kind": "toto", "refit_every_days": 2520, "forecast_every_days": 5},
        {"kind": "kronos_ensemble", "refit_every_days": 5040, "forecast_every_days": 20, "samples": 1},
    ],
    "agents": [{"kind": "ppo", "total_steps": 120_000}, {"kind": "direct", "total_steps": 100_000}],
    "baselines": list(DEFAULT_BASELINES),
}
"""What each list of an experiment holds by default."""

REGISTRIES: Mapping[str, Registry[Any]] = {"analysts": ANALYSTS, "agents": AGENTS, "baselines": BASELINES}
"""Where the settings class of an entry of each list is found by its kind."""


def _parse_entries(name: str) -> Callable[[object], tuple[Settings, ...]]:
    """Return the validator of one of the lists: each entry is read by the settings class that its `kind` names."""

    def parse(entries: object) -> tuple[Settings, ...]:
        if isinstance(entries, str) or not isinstance(entries, Sequence):
            raise ValueError("it must be a list of mappings with a 'kind'")
        parsed = tuple(_parse_entry(name, position, entry) for position, entry in enumerate(entries))
        _check_labels(name, [str(getattr(settings, "label", "")) for settings in parsed])
        return parsed

    return parse


def _parse_entry(name: str, position: int, entry: object) -> Settings:
    if isinstance(entry, Settings):
        return entry
    if not isinstance(entry, Mapping):
        raise ValueError("it must be a list of mappings with a 'kind'")
    try:
        model = REGISTRIES[name].load_settings(entry.get("kind"))
    except ConfigError as error:
        raise PydanticCustomError(REFUSED_ENTRY, "{text}", {"text": str(error), "place": (position,)}) from error
    return cast("Settings", parse_entry(model, entry, position))


def _check_labels(name: str, labels: Sequence[str]) -> None:
    """Refuse names that cannot be told apart, or, where they become folders, that cannot be one.

    Raises:
        PydanticCustomError: A name is taken twice, or is none.
    """
    what = name.removesuffix("s")
    for position, label in enumerate(labels if name != "baselines" else ()):
        text = ""
        try:
            check_name(label, what)
        except ConfigError as error:
            text = str(error)
        if name == "analysts" and label.split(".")[0] == FEATURE_PREFIX:
            text = (
                f"an analyst cannot be called '{label}', since the signals of the features are called "
                f"{FEATURE_PREFIX}.NAME; give it another name"
            )
        if text:
            raise PydanticCustomError(REFUSED_ENTRY, "{text}", {"text": text, "place": (position, "name")})
    # A file system may take PPO and ppo for one folder.
    alike = [pair for pair in itertools.combinations(labels, 2) if pair[0].casefold() == pair[1].casefold()]
    for one, other in alike:
        if one == other:
            text = f"two {name} are called '{one}'; give one of them another name"
        elif name == "baselines":
            continue
        else:
            text = f"two {name} are called '{one}' and '{other}', which differ only by case; give one another name"
        raise PydanticCustomError(REFUSED_ENTRY, "{text}", {"text": text, "place": ()})


ALL_SIGNALS = "all"
"""What `observe` names to show agents every signal."""

# The training room sits above this file, so the two models that configure it stand here.


class ForecastSettings(Settings):
    """When analysts are refitted.

    Attributes:
        min_train_days: Sessions before the first refit; the first signal is the session after.
        refit_every_days: Sessions from one refit to the next.
        max_train_days: Sessions that a refit reads at most, the latest ones; all when left out.
        forecast_every_days: Sessions from one forecast to the next; a forecast stands until the next one.
        cache: Folder that keeps finished pieces, so that other runs use them and a killed one goes on, or None; a
            relative one lies in the folder of all runs.
    """

    min_train_days: int = Field(default=1260, ge=2)
    refit_every_days: int = Field(default=756, ge=1)
    max_train_days: int | None = Field(default=None, ge=2)
    forecast_every_days: int = Field(default=1, ge=1)
    cache: Path | None = Path(".cache")


class BlendSettings(Settings):
    """How the forecasts of all analysts are combined into one; see `alfred.training.blending`.

    Attributes:
        name: Name in signals and reports.
        horizons: Sessions ahead; all at which an analyst forecasts when left out.
        refit_every_days: Sessions from one fit of the weights to the next.
        min_days: Sessions with known outcomes before the first fit; until then all weights are equal.
        max_train_days: Sessions that a fit reads at most, the latest ones; all when left out.
        penalties: Strengths of the shrinkage towards equal weights to choose from, in units of the forecasts'
            variance. Equal weights, an infinite penalty, are always among the choices.
        n_blocks: Later parts of the past on which the choice is made, each fitted on what came before it.
        nonnegative: Whether weights below zero, bets against an analyst, are ruled out.
        calibration: How the dispersion is calibrated.
    """

    name: str = Field(default="blend", pattern=r"^[A-Za-z0-9_-]+$")
    horizons: tuple[Annotated[int, Field(ge=1, le=MOST_SESSIONS)], ...] | None = Field(default=None, min_length=1)
    refit_every_days: int = Field(default=63, ge=1)
    min_days: int = Field(default=252, ge=2)
    max_train_days: int | None = Field(default=None, ge=2)
    penalties: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    n_blocks: int = Field(default=5, ge=1)
    nonnegative: bool = True
    calibration: CalibrationSettings = CalibrationSettings()

    @property
    def label(self) -> str:
        """The name, as that of an analyst."""
        return self.name


class TrainingSettings(Settings):
    """How many agents are trained, and where.

    Attributes:
        n_seeds: Trainings of each agent on each fold; their weights are averaged in the headline.
        n_jobs: Processes; one a core when left out.
        executor: What runs them: processes of this machine, or those of a Ray cluster.
        address: Of the Ray cluster, such as `10.0.0.1:6379`; when left out, the one that `RAY_ADDRESS` names, or a new
            one on this machine.
    """

    n_seeds: int = Field(default=3, ge=1)
    n_jobs: int | None = Field(default=None, ge=1)
    executor: Literal["local", "ray"] = "local"
    address: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _check_address(self) -> TrainingSettings:
        if self.address is not None and self.executor != "ray":
            raise ValueError(
                "address is that of a Ray cluster, and executor is 'local'; add executor: ray, or address: null"
            )
        return self


def _wrap(value: object) -> object:
    """Return one name as a list of one.

    Raises:
        ValueError: Nothing is named.
    """
    if value in ([], ()):
        raise ValueError("it names nothing; name signals, say `all`, or leave it out for the blend and the features")
    return (value,) if isinstance(value, str) else value


class Experiment(Settings):
    """One run, from prices to the report. The defaults are the demonstration.

    Attributes:
        name: Name of the run directory.
        seed: Seed that all others count on from.
        data: Which market.
        analysts: Who forecasts; each needs a `kind` and a name of its own.
        features: Which features the agent sees beside the forecasts, or None.
        blend: How the forecasts are combined into one, or None. Where no analyst forecasts a return there is none.
        observe: Which signals the agents see: names of analysts, `blend` (or the name of the blend), `feature` for all
            features, single signals by their full name, or `all`. Left out, the blend and the features; all where there
            is no blend.
        forecast: When analysts are refitted.
        splits: How the sessions are cut into folds.
        env: How a portfolio is traded and paid.
        agents: Who allocates; the first is judged in the headline.
        baselines: What the agents are compared with, beside the benchmark held and equal weights, which are always
            there; each needs a `kind` and a name of its own.
        training: How many seeds, on how many cores.
        intervals: How the intervals of the report are made.
        n_trials: Trials made elsewhere; the report deflates for them, and for every strategy that was ever judged on
            the same data over an overlapping test, which the log beside the runs knows by itself.
    """

    name: Name = "demo"
    seed: int = Field(default=0, ge=0, lt=2**31)
    data: DataSettings = DataSettings()
    analysts: Annotated[tuple[SerializeAsAny[AnalystSettings], ...], BeforeValidator(_parse_entries("analysts"))] = (
        Field(default_factory=lambda: DEFAULT_LISTS["analysts"], min_length=1, validate_default=True)
    )
    features: FeatureSettings | None = FeatureSettings()
    blend: BlendSettings | None = BlendSettings()
    observe: Annotated[tuple[str, ...] | None, BeforeValidator(_wrap)] = None
    forecast: ForecastSettings = ForecastSettings()
    splits: SplitSettings = SplitSettings()
    env: PortfolioSettings = PortfolioSettings()
    agents: Annotated[tuple[SerializeAsAny[AgentSettings], ...], BeforeValidator(_parse_entries("agents"))] = Field(
        default_factory=lambda: DEFAULT_LISTS["agents"], min_length=1, validate_default=True
    )
    baselines: Annotated[tuple[SerializeAsAny[BaselineSettings], ...], BeforeValidator(_parse_entries("baselines"))] = (
        Field(default_factory=lambda: DEFAULT_LISTS["baselines"], validate_default=True)
    )
    training: TrainingSettings = TrainingSettings()
    intervals: IntervalSettings = IntervalSettings()
    n_trials: int = Field(default=0, ge=0)

    @field_validator("blend")
    @classmethod
    def _check_blend(cls, blend: BlendSettings | None, info: ValidationInfo) -> BlendSettings | None:
        taken = [*(item.label for item in info.data.get("analysts", ())), FEATURE_PREFIX]
        if blend is not None and blend.label.casefold() in (name.casefold() for name in taken):
            raise ValueError(f"it is called '{blend.label}' as an analyst or the features are; give it another name")
        return blend

    def to_yaml(self) -> str:
        """Return the resolved configuration; reading it again gives the same experiment."""
        return str(yaml.safe_dump(json.loads(self.model_dump_json()), sort_keys=False))


def load_experiment(path: Path | str | None = None, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment.

    Args:
        path: A YAML file that holds what differs from the defaults, or None for the defaults alone.
        overrides: `a.b=value` each, with the value in YAML; a number steps into a list: `agents.0.gamma=0`.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value has the wrong type.
    """
    raw = {} if path is None else _read_yaml(Path(path))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set needs key=value, for instance env.cost_bps=10; got '{override}'")
        parts = key.split(".")
        if not all(part.strip() for part in parts):
            raise ConfigError(f"--set {override}: a part of the key is empty; write it as env.cost_bps=10")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(f"--set {shorten(override)}: the value is not YAML ({error}); quote it") from error
        raw = _override(raw, parts, value, key)
    return parse_experiment(raw, source="the defaults" if path is None else str(path))


def parse_experiment(raw: Mapping[str, Any], source: str = "the configuration") -> Experiment:
    """Turn a mapping into an experiment.

    Raises:
        ConfigError: A key is unknown or a value has the wrong type; `source` is named in the text.
    """
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(_explain(error.errors(), raw, source)) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"cannot read the configuration {path}: there is no such file; name a YAML file.{suggest_path(path)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}; name a YAML file") from error
    try:
        raw = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping of keys to values, got {type(raw).__name__}")
    return raw


def _override(raw: Any, keys: Sequence[str], value: object, whole: str) -> Any:
    """Return a copy of `raw` with one value replaced."""
    if not keys:
        return value
    head, rest = keys[0], keys[1:]
    if whole.split(".")[0] == head and isinstance(raw, dict) and head in DEFAULT_LISTS and head not in raw:
        raw = {**raw, head: DEFAULT_LISTS[head]}
    if isinstance(raw, list):
        # Of ASCII only: `isdigit` takes signs that `int` does not.
        if not (head.isascii() and head.isdigit() and len(head) < 10) or int(head) >= len(raw):
            raise ConfigError(f"--set {whole}: '{head}' must be a number from 0 to {len(raw) - 1}")
        return [_override(item, rest, value, whole) if i == int(head) else item for i, item in enumerate(raw)]
    if raw is not None and not isinstance(raw, dict):
        raise ConfigError(f"--set {whole}: '{head}' lies below a plain value, {raw!r}; name a key of a mapping")
    mapping = raw or {}
    return {**mapping, head: _override(mapping.get(head), rest, value, whole)}


def _explain(errors: Sequence[Mapping[str, Any]], raw: object, source: str) -> str:
    """Return one line for the first of pydantic's errors, with a suggestion for an unknown key."""
    first, model, place, more = find_first(errors, Experiment)
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])
        beside = find_holder(model, first["loc"]).model_fields
        near = any(known.startswith(name) or name.startswith(known) for known in beside)
        if not near and (elsewhere := _find_elsewhere(name, raw)):
            key = ".".join(map(str, [*place, *first["loc"]]))
            others = f" (and {more} more)" if more else ""
            return f"{source}: unknown key '{key}'. Did you mean '{elsewhere}'?{others}"
    return f"{source}: {explain_errors(errors, Experiment)}"


def _find_elsewhere(name: str, raw: object) -> str:
    """Return the full key of a name that was written in another place than its own, or an empty text.

    Args:
        name: The last part of the key.
        raw: What the configuration says, for the kinds in its lists.
    """
    paths = [key.path for key in list_model_keys(Experiment)]
    known = [path for path in paths if path.partition(".")[0] not in REGISTRIES]
    for listed, registry in REGISTRIES.items():
        given = raw.get(listed) if isinstance(raw, Mapping) else None
        for position, entry in enumerate(given if given and isinstance(given, list) else DEFAULT_LISTS[listed]):
            kind = entry.get("kind") if isinstance(entry, Mapping) else None
            if kind in registry:
                known += [key.path for key in list_model_keys(registry.load_settings(kind), f"{listed}.{position}")]
    found = [path for path in known if path.rpartition(".")[2] == name]
    return min(found, key=lambda path: path.count("."), default="")
