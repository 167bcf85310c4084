"""What a trial may vary: the settings of each family, as data, so that ranges can be printed and their ends watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import ValidationError

from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import AnalystSettings
from alfred.errors import ConfigError
from alfred.keys.mistakes import explain_briefly
from alfred.training.search.two_stage.settings import Family, TwoStageSettings

Value = str | int | float | bool
LABEL = "tuned"
"""Name of the analyst that a search finds."""

_NO_LSTM = "none"


class Suggests(Protocol):
    """What is needed of a trial of Optuna."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number between both ends, ends included."""
        ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number between both ends."""
        ...


@dataclass(frozen=True)
class Parameter:
    """One thing that a trial varies.

    Attributes:
        path: Where it stands in the settings, with dots: `fitting.learning_rate`.
        low: Least value; a whole number when both ends are.
        high: Largest value.
        log: Whether the scale is logarithmic.
        choices: Values to choose from instead of a range.
        when: Path and values of another parameter, earlier in the list, without which this one is left alone.
        part: Ends the name where one path has several ranges.
    """

    path: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()
    when: tuple[str, tuple[str, ...]] | None = None
    part: str = ""

    @property
    def name(self) -> str:
        """The name without the family."""
        return f"{self.path}{self.part}"

    @property
    def whole(self) -> bool:
        """Whether it is a whole number."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Return the value of a trial."""
        if self.choices:
            return str(trial.suggest_categorical(name, self.choices))
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def clip(self, value: Value) -> Value:
        """Return the nearest value of the range, or the first choice for one that is none."""
        if self.choices:
            return value if value in self.choices else self.choices[0]
        number = min(max(float(value), self.low), self.high)
        return round(number) if self.whole else number


_CONTEXT = Parameter("context_length", 16, 256, log=True)
_RATE = Parameter("fitting.learning_rate", 5e-6, 5e-3, log=True)
_DECAY = Parameter("fitting.weight_decay", 1e-3, 1.0, log=True)

SPACES: Mapping[Family, tuple[Parameter, ...]] = {
    "hermite": (
        _CONTEXT,
        Parameter("polynomials", choices=("probabilist", "physicist")),
        Parameter("degree", 4, 8),
        Parameter("maps_a", 4, 9),
        Parameter("maps_b", 1, 5),
        Parameter("hidden", 64, 192),
        Parameter("lstm", choices=(_NO_LSTM, "lstm")),
        Parameter("lstm_size", 32, 96, when=("lstm", ("lstm",))),
        Parameter("dropout", 0.01, 0.40),
        _RATE,
        _DECAY,
        Parameter("reg_weight", 0.5, 4.0),
        Parameter("cls_weight", 0.1, 2.0),
        Parameter("unc_weight", 0.0, 2.0),
        Parameter("sign_hinge_weight", 0.0, 1.5),
        Parameter("cls_loss", choices=("cross_entropy", "focal")),
        Parameter("focal_gamma", 0.5, 4.0, when=("cls_loss", ("focal",))),
        Parameter("prob_source", choices=("classifier", "pdf")),
        Parameter("direction_weight", 0.0, 1.0, when=("prob_source", ("classifier",))),
    ),
    "extractor": (
        _CONTEXT,
        Parameter("parts", choices=("lstm+conv", "lstm", "conv", "attention", "transformer", "mlp")),
        Parameter("size", choices=("small", "medium")),
        Parameter("head", choices=("gaussian", "quantiles", "magnitude", "direction")),
        Parameter(
            "loss",
            choices=("squared", "huber", "signed_squared", "signed_huber", "sign_ratio"),
            when=("head", ("magnitude",)),
            part=".magnitude",
        ),
        Parameter("loss", choices=("cross_entropy", "focal"), when=("head", ("direction",)), part=".direction"),
        Parameter("focal_gamma", 0.5, 4.0, when=("loss", ("focal",))),
        Parameter("sign_weight", 0.0, 1.5, when=("loss", ("signed_squared", "signed_huber"))),
        Parameter("huber_delta", 0.3, 3.0, log=True, when=("loss", ("huber", "signed_huber"))),
        Parameter("dropout", 0.0, 0.40),
        _RATE,
        _DECAY,
    ),
    "trees": (
        Parameter("context_length", 22, 253, log=True),
        Parameter("features", choices=("both", "technical", "momentum")),
        Parameter("n_rounds", 20, 400, log=True),
        Parameter("learning_rate", 0.01, 0.3, log=True),
        Parameter("max_leaf_nodes", 2, 32, log=True),
        Parameter("min_samples_leaf", 20, 500, log=True),
        Parameter("l2_penalty", 1e-3, 30.0, log=True),
        Parameter("max_features", 0.1, 1.0),
        Parameter("n_members", 1, 5),
    ),
    "ridge": (
        Parameter("context_length", 22, 253, log=True),
        Parameter("features", choices=("both", "technical", "momentum")),
        Parameter("validation_fraction", 0.1, 0.3),
    ),
}
"""What is searched, by family."""


@dataclass(frozen=True)
class ModelSpace:
    """The parameters of all families of a search.

    Attributes:
        settings: The search.
        longest_context: Bars that a window may have, so that the first fold can be fitted.
    """

    settings: TwoStageSettings
    longest_context: int

    def list_parameters(self, family: Family) -> tuple[Parameter, ...]:
        """Return what is searched in a family, with windows that fit and without what is fixed."""
        fixed = _flatten(self.settings.fixed.get(family, {}))
        found = []
        for parameter in SPACES[family]:
            path = "lstm_size" if parameter.path == "lstm" else parameter.path
            if path in fixed:
                continue
            if parameter.path == "context_length":
                high = min(int(parameter.high), self.longest_context)
                if high < parameter.low:
                    raise ConfigError(
                        f"the first fold is fitted on too few sessions for a window of {parameter.low:g} bars, the "
                        f"shortest of family '{family}'; load more data, or raise min_train_share"
                    )
                found.append(replace(parameter, high=high))
            else:
                found.append(parameter)
        return tuple(found)

    def suggest(self, trial: Suggests) -> AnalystSettings:
        """Return the model of a trial.

        Raises:
            ConfigError: What is fixed does not fit a family.
        """
        families = self.settings.families
        family = families[0] if len(families) == 1 else trial.suggest_categorical("family", list(families))
        values: dict[str, Value] = {}
        for parameter in self.list_parameters(family):
            if self._applies(parameter, family, values):
                values[parameter.path] = parameter.suggest(trial, f"{family}.{parameter.name}")
        return self.build(family, values)

    def build(self, family: Family, values: Mapping[str, Value]) -> AnalystSettings:
        """Return the settings of a family with some values, by path.

        Raises:
            ConfigError: They do not fit.
        """
        raw: dict[str, Any] = {"name": LABEL, "horizons": [self.settings.horizon], "seed": self.settings.seed}
        model = ANALYSTS.load_settings(family)
        defaults = model.model_fields
        for path, value in values.items():
            if path == "lstm":
                continue
            head, _, tail = path.partition(".")
            if tail:
                raw.setdefault(head, defaults[head].default.model_dump())[tail] = value
            else:
                raw[head] = value.split("+") if path == "parts" and isinstance(value, str) else value
        for key, value in self.settings.fixed.get(family, {}).items():
            nested = isinstance(value, Mapping) and hasattr(defaults.get(key, None), "default")
            raw[key] = {**raw.get(key, _dump(defaults[key].default)), **value} if nested else value
        try:
            built: AnalystSettings = model.model_validate(raw)
        except ValidationError as error:
            raise ConfigError(f"family '{family}' cannot be built: {explain_briefly(error)}") from error
        if built.horizons != (self.settings.horizon,):
            raise ConfigError(
                f"fixed.{family}.horizons is {list(built.horizons)}, but models are scored at the horizon of the "
                f"search; leave it out and set horizon, which is {self.settings.horizon}"
            )
        return built

    def make_default(self, family: Family) -> dict[str, Value]:
        """Return the parameters of a family's default configuration, by name, as Optuna enqueues them."""
        model = self.build(family, {})
        values: dict[str, Value] = {}
        named: dict[str, Value] = {} if len(self.settings.families) == 1 else {"family": family}
        for parameter in self.list_parameters(family):
            if not self._applies(parameter, family, values):
                continue
            value = parameter.clip(_read_default(model, parameter.path))
            values[parameter.path] = value
            named[f"{family}.{parameter.name}"] = value
        return named

    def _applies(self, parameter: Parameter, family: Family, values: Mapping[str, Value]) -> bool:
        if parameter.when is None:
            return True
        path, accepted = parameter.when
        fixed = _flatten(self.settings.fixed.get(family, {}))
        return values.get(path, fixed.get(path)) in accepted


def _read_default(model: AnalystSettings, path: str) -> Value:
    if path == "lstm":
        return _NO_LSTM if getattr(model, "lstm_size", None) is None else "lstm"
    value: Any = model
    for part in path.split("."):
        value = getattr(value, part)
    if path == "loss":
        value = getattr(model, "own_loss", value)
    if path == "parts":
        return "+".join(value)
    return 0 if value is None else value


def _flatten(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            found |= _flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _dump(default: Any) -> dict[str, Any]:
    return dict(default.model_dump()) if hasattr(default, "model_dump") else {}
