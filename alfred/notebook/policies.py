"""Any strategy as a `Policy`: a trained model, a network, a function, a table of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from gymnasium import spaces

from alfred.data.market import Market
from alfred.data.sessions import to_session_dates
from alfred.envs.actions import compute_weights
from alfred.envs.observations import flatten, make_observation_space
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape
from alfred.errors import ConfigError, DataError, suggest
from alfred.notebook.tables import is_table, to_frame, to_numbers
from alfred.typing import Float, Observation

_CASH_TOLERANCE = 1e-6


class OwnPolicy:
    """A policy around code of yours; see `make_policy`.

    Attributes:
        name: Name in tables.
        rebalance_every: Sessions between decisions; that of the settings when None.
        lookback: Sessions of returns in its observations.
        under_mandate: Whether constraints and risk rules hold for it.
    """

    rebalance_every: int | None = None
    under_mandate = True
    runs_own_code = True  # an exception in it is told as one of the strategy and not of alfred

    def __init__(self, decide: Callable[[Observation], Float], name: str, lookback: int) -> None:
        """Store the function from a batch of observations to weights `[P, N+1]`."""
        self.name, self.lookback = name, lookback
        self._decide = decide

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Forget nothing: there is no state."""

    def predict(self, observation: Observation) -> Float:
        """Return the weights; see `Policy`."""
        return self._decide(observation)


class ModelPolicy(OwnPolicy):
    """A model of stable-baselines3, its recurrent state included."""

    def __init__(self, model: Any, settings: PortfolioSettings, name: str) -> None:
        """Store the model and how its actions become weights."""
        super().__init__(self._ask, name, settings.lookback)
        self.model, self.action = model, settings.action
        self.flat = isinstance(model.observation_space, spaces.Box)
        self.reset()

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Begin an episode, of some portfolios or of all: the model empties the state of those that begin."""
        if rows is None or self._begins is None:
            self._state: Any = None
            self._begins: npt.NDArray[np.bool_] | None = None
        else:
            self._begins[rows] = True

    def _ask(self, observation: Observation) -> Float:
        # An environment without a word on what may be held has no `holdable`, and a model of it does not read it.
        keys = [] if self.flat else list(self.model.observation_space)
        seen: Any = flatten(observation) if self.flat else {key: observation[key] for key in keys}
        count = len(observation["weights"])
        begins = np.ones(count, dtype=bool) if self._begins is None else self._begins
        action, self._state = self.model.predict(seen, state=self._state, episode_start=begins, deterministic=True)
        self._begins = np.zeros(count, dtype=bool)
        return compute_weights(action, self.action, observation.get("holdable"))


class TablePolicy(OwnPolicy):
    """Weights by date: each row is the target from the close of its date on, traded back to at every execution."""

    def __init__(self, targets: Float, name: str) -> None:
        """Store the targets, one row an execution bar, `[E, N+1]`."""
        super().__init__(self._next, name, 0)
        self.rebalance_every = 1
        self._targets = targets
        self.reset()

    def reset(self, rows: npt.NDArray[np.integer] | None = None) -> None:
        """Begin with the first bar."""
        self._bar = 0

    def _next(self, observation: Observation) -> Float:
        self._bar += 1
        return np.asarray(self._targets[self._bar - 1][None])


def make_policy(
    strategy: Any, market: Market, tape: Tape, settings: PortfolioSettings, name: str | None = None
) -> Policy:
    """Return a strategy as a policy.

    Args:
        strategy: One of
            a `Policy`, as it is;
            a model of stable-baselines3 that was trained on an environment with these settings;
            a module of torch from observations (a dict of tensors with a batch axis) to actions in [-1, 1];
            a function from one observation (a dict of arrays without a batch axis, see `alfred.envs.observations`) to
            weights: `[N]` with the rest in cash, `[N+1]` with cash last, or a Series by symbol;
            a table of weights, dates x symbols, with the rest in cash. Each row is the target until the next: the
            portfolio is traded back to it every session. An empty cell is a weight of zero.
        market: Names the symbols.
        tape: The range that it will be walked through.
        settings: How the portfolio is traded.
        name: Name in tables.

    Raises:
        ConfigError: It is none of these, or a model was trained on other observations or actions. What the numbers
            stood for, a model knows as long as it has its environment; loaded without one, its shapes are compared.
        DataError: A table or Series names an unknown symbol, has a date twice, or has no row at the start.
    """
    label = name or getattr(strategy, "__name__", None) or type(strategy).__name__
    if hasattr(strategy, "observation_space") and hasattr(strategy, "predict"):
        _check_space(strategy.observation_space, tape, settings)
        _check_training(strategy, tape, settings)
        if getattr(strategy, "get_vec_normalize_env", lambda: None)() is not None:
            raise ConfigError(
                "the model was trained on observations that VecNormalize had scaled, which a backtest does not do; "
                "wrap it in a function that scales them, or train without VecNormalize"
            )
        return ModelPolicy(strategy, settings, label)
    if isinstance(strategy, Policy):
        return strategy
    if hasattr(strategy, "state_dict") and callable(strategy):
        return OwnPolicy(_ask_module(strategy, settings), label, settings.lookback)
    if is_table(strategy):
        return TablePolicy(_align_weights(to_frame(strategy), market, tape), name or "weights")
    if callable(strategy):
        return OwnPolicy(_ask_function(strategy, market), label, settings.lookback)
    raise ConfigError(
        f"a strategy must be a policy, a model of stable-baselines3, a torch module, a function of an observation or a "
        f"table of weights; got {type(strategy).__name__}"
    )


def _check_space(space: Any, tape: Tape, settings: PortfolioSettings) -> None:
    flat = isinstance(space, spaces.Box)
    ours = make_observation_space(tape, settings.model_copy(update={"observation": "flat" if flat else "dict"}))
    same = space.shape == ours.shape if flat else False
    if isinstance(space, spaces.Dict) and isinstance(ours, spaces.Dict):
        shapes = {key: part.shape for key, part in space.items()}
        expected = {key: part.shape for key, part in ours.items() if key in shapes or key != "holdable"}
        same = shapes == expected
    if not same:
        raise ConfigError(
            f"the model was trained on observations {space}, and here they are {ours}: pass the settings, signals and "
            "market of its training"
        )


def _check_training(model: Any, tape: Tape, settings: PortfolioSettings) -> None:
    """Compare what a model of stable-baselines3 knows of its training.

    Raises:
        ConfigError: Its actions have another shape, or its environment had other ones, or other symbols or signals.
    """
    shape, ours = getattr(getattr(model, "action_space", None), "shape", None), (len(tape.symbols) + 1,)
    if shape != ours:
        raise ConfigError(
            f"the model was trained on actions of shape {shape}, and here they are {ours}, an asset each and cash: "
            "pass the market of its training"
        )
    environment = getattr(model, "get_env", lambda: None)()
    if environment is None:
        return
    try:
        known = {name: environment.get_attr(name, 0)[0] for name in ("settings", "symbols", "signal_names")}
    except AttributeError:  # an environment of somebody else's
        return
    pairs = {
        "actions": (known["settings"].action, settings.action),
        "symbols": (known["symbols"], tape.symbols),
        "signals": (known["signal_names"], tape.signal_names),
    }
    for what, (theirs, here) in pairs.items():
        if theirs != here:
            raise ConfigError(
                f"the model was trained with the {what} {theirs}, and here they are {here}: pass the settings, signals "
                "and market of its training"
            )


def _ask_module(module: Any, settings: PortfolioSettings) -> Callable[[Observation], Float]:
    import torch

    def decide(observation: Observation) -> Float:
        was_training = bool(getattr(module, "training", False))
        module.train(False)  # dropout and batch norms would answer otherwise at every call
        try:
            with torch.no_grad():
                actions = module({key: torch.as_tensor(value) for key, value in observation.items()})
        finally:
            module.train(was_training)
        return compute_weights(actions.cpu().numpy(), settings.action, observation.get("holdable"))

    return decide


def _ask_function(function: Callable[[Any], Any], market: Market) -> Callable[[Observation], Float]:
    n = market.n_symbols

    def decide(observation: Observation) -> Float:
        rows = []
        for place in range(len(observation["weights"])):
            answer = function({key: value[place] for key, value in observation.items()})
            if isinstance(answer, pd.Series):
                answer = _read_series(answer, market)
            weights = _to_floats(answer, market)
            if weights.shape == (n,):
                weights = np.append(weights, 1.0 - weights.sum())
            rows.append(weights)
        return np.stack(rows)

    return decide


def _read_series(answer: pd.Series, market: Market) -> Float:
    """Return the weights of a Series by symbol, `[N]`; symbols that it leaves out have none.

    Raises:
        DataError: A label is unknown or stands twice, a weight is missing, or the cash is not what the others leave.
    """
    _require_known(answer.index, market)
    labels = [str(label) for label in answer.index]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise DataError(f"a strategy returned a Series with '{twice[0]}' more than once; keep one")
    weights = dict(zip(labels, _to_floats(answer, market), strict=True))
    if missing := [label for label, weight in weights.items() if np.isnan(weight)]:
        raise DataError(f"a strategy returned NaN as the weight of '{missing[0]}'; leave it out, or give it a number")
    assets = np.array([weights.get(symbol, 0.0) for symbol in market.symbols])
    total = assets.sum() + weights.get("cash", 1.0 - assets.sum())
    if abs(total - 1.0) > _CASH_TOLERANCE:
        raise DataError(
            f"a strategy returned weights that sum to {total:g} with their cash; make them sum to 1, or leave cash out"
        )
    return assets


def _to_floats(answer: object, market: Market) -> Float:
    try:
        return np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"a strategy returned {type(answer).__name__}, which is no row of numbers: return weights of the "
            f"{market.n_symbols} symbols as an array or list, cash last where it is given, or a Series of pandas by "
            "symbol"
        ) from error


def _align_weights(frame: pd.DataFrame, market: Market, tape: Tape) -> Float:
    """Return the targets of every execution bar: the latest row at or before the close of the decision."""
    if "date" in frame.columns:
        frame = frame.set_index("date")
    if not len(frame):
        raise DataError("the table of weights has no rows; give it one for each date on which the target changes")
    if pd.api.types.is_numeric_dtype(frame.index):
        raise DataError(
            f"the rows of the weights are numbered ({frame.index[0]}, ...), not dated: give the table a column 'date' "
            "or dates as its index"
        )
    # Read before they are sorted: as text, 10/1/2018 comes before 9/1/2017.
    frame = frame.set_axis(to_session_dates(frame.index.to_list())).sort_index()
    frame.columns = [str(column) for column in frame.columns]
    for what, labels in (("date", frame.index), ("column", frame.columns)):
        if not labels.is_unique:
            twice = labels[labels.duplicated()][0]
            shown = twice.date() if isinstance(twice, pd.Timestamp) else f"'{twice}'"
            raise DataError(f"the weights have the {what} {shown} more than once; keep one")
    _require_known(frame.columns, market)
    frame = pd.DataFrame(to_numbers(frame, "the weight"), frame.index, frame.columns)
    decided = market.dates[market.dates.get_indexer(tape.dates) - tape.lag]
    rows = pd.DatetimeIndex(frame.index).searchsorted(decided, side="right") - 1
    if (rows < 0).any():
        raise DataError(
            f"the weights begin on {frame.index[0].date()}, after the first decision on {decided[0].date()}: pass "
            "start=..."
        )
    assets = frame.reindex(columns=list(market.symbols)).fillna(0.0).to_numpy(np.float64)
    cash = 1.0 - assets.sum(axis=1)
    if "cash" in frame.columns:
        off = np.abs(frame["cash"].fillna(0.0).to_numpy(np.float64) - cash)
        if off.max(initial=0.0) > _CASH_TOLERANCE:
            row = int(np.argmax(off))
            raise DataError(
                f"the weights of {frame.index[row].date()} sum to {1 + frame['cash'].iloc[row] - cash[row]:g} with "
                "their cash; make every row sum to 1, or leave the column cash out"
            )
    return np.asarray(np.column_stack([assets, cash])[rows])


def _require_known(labels: pd.Index, market: Market) -> None:
    known = [*market.symbols, "cash"]
    if unknown := [str(label) for label in labels if str(label) not in known]:
        raise DataError(f"the weights name '{unknown[0]}', which the market lacks.{suggest(unknown[0], known)}")
