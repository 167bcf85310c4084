"""What an analyst loses without each of its inputs: its models of the test forecast again without what they say.

Axes legend: T dates, N symbols, H horizons, B windows, F inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alfred.analysts.base import Analyst
from alfred.analysts.inputs import Alter, ReadsInputs
from alfred.analysts.saved import SavedAnalyst
from alfred.analysts.settings import AnalystSettings
from alfred.data.contexts import Contexts, iterate_contexts, make_contexts
from alfred.data.market import Market
from alfred.errors import ConfigError, suggest
from alfred.evaluation.ablation import Ablation, note_short
from alfred.training.ablation.scores import Scores, Taken, judge_taken, read_outcomes, score
from alfred.training.forecasting import iterate_fitted
from alfred.training.judging.walking import find_first_decision
from alfred.training.prepared import Prepared
from alfred.training.progress import Reporter, Silence
from alfred.typing import Float

MOST_DATES = 500
DEFAULT_DRAWS = 4
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Reader:
    """One model of the test and the windows that it is asked for.

    Attributes:
        analyst: The model.
        inside: The part that reads inputs: the model, or what it was saved from.
        dates: Position of each window among the judged dates, `[B]`.
        symbols: Column of each window, `[B]`.
        contexts: The windows.
    """

    analyst: Analyst
    inside: ReadsInputs
    dates: npt.NDArray[np.int64]
    symbols: npt.NDArray[np.int64]
    contexts: Contexts


def find_analyst(prepared: Prepared, name: str) -> AnalystSettings:
    """Return the settings of an analyst of a run.

    Raises:
        ConfigError: There is none of that name.
    """
    known = {item.label: item for item in prepared.experiment.analysts}
    if name not in known:
        raise ConfigError(f"no analyst is called '{name}'; the run has {', '.join(known)}.{suggest(name, known)}")
    return known[name]


def open_readers(
    prepared: Prepared, settings: AnalystSettings, most_dates: int = MOST_DATES
) -> tuple[list[Reader], Market, npt.NDArray[np.int64]]:
    """Return the models of the test with their windows, the market that ends with it, and the judged rows.

    Args:
        prepared: The run.
        settings: The analyst.
        most_dates: Dates that are judged at most, evenly spread over the test.

    Returns:
        No models when the analyst has no inputs that could be taken away.
    """
    market = prepared.market.until(prepared.folds[-1].test[1])
    first = int(market.dates.get_loc(find_first_decision(prepared)))
    last = market.n_dates - 1 - min(settings.horizons)
    step = max(-(-(last - first + 1) // most_dates), 1)
    judged = np.arange(first, last + 1, step)
    schedule = prepared.experiment.forecast
    if schedule.cache is not None:
        schedule = schedule.model_copy(update={"cache": prepared.run.root / schedule.cache})
    readers: list[Reader] = []
    for window, rows, analyst in iterate_fitted(prepared.market, settings, schedule, market.dates[first]):
        inside = analyst.trained if isinstance(analyst, SavedAnalyst) else analyst
        if not isinstance(inside, ReadsInputs):
            return [], market, judged
        asked = np.intersect1d(rows, judged)
        if len(asked):
            readers += _collect(analyst, inside, window, asked, judged)
    return readers, market, judged


def ablate_analyst(
    prepared: Prepared,
    settings: AnalystSettings,
    *,
    draws: int = DEFAULT_DRAWS,
    most_dates: int = MOST_DATES,
    reporter: Reporter | None = None,
) -> Ablation | None:
    """Say what the forecasts of an analyst owe to each of its inputs, over the test of a run.

    Each input is set to its missing value, and permuted among the windows of the same model (Breiman, 2001). Models are
    not trained again: they come from the cache of the run where they are in it. Loss is the squared error of the
    expected return in units of volatility; balanced accuracy is that of calling a rise.

    Args:
        prepared: The run.
        settings: The analyst.
        draws: Random permutations of each input.
        most_dates: Dates that are judged at most, evenly spread over the test.
        reporter: Progress callback.

    Returns:
        None when the analyst has no inputs that could be taken away.
    """
    readers, market, judged = open_readers(prepared, settings, most_dates)
    if not readers:
        return None
    outcomes = read_outcomes(market, market.dates[judged], settings.horizons)
    names = list(dict.fromkeys(name for reader in readers for name in reader.inside.inputs))
    told = (reporter or Silence()).begin(f"ablate {settings.label}", len(names))
    shape = (len(judged), market.n_symbols, len(settings.horizons))

    def ask(make_alter: Callable[[Reader], Alter | None]) -> Scores:
        return score(_forecast(readers, make_alter, shape), outcomes)

    truth = ask(lambda _reader: None)
    taken: list[Taken] = []
    for number, name in enumerate(names):
        taken.append(Taken(name, "dropped", [ask(lambda reader, name=name: drop(reader.inside, name))]))  # type: ignore[misc]
        permuted = []
        for draw in range(draws):
            rng = np.random.default_rng([prepared.experiment.seed, number, draw])
            permuted.append(ask(lambda reader, name=name, rng=rng: permute(reader.inside, name, rng)))  # type: ignore[misc]
        taken.append(Taken(name, "permuted", permuted))
        told(number + 1)
    parts = judge_taken(truth, taken, outcomes, prepared.experiment.intervals)
    return Ablation(settings.label, "analyst", parts, note_short(parts))


def drop(inside: ReadsInputs, name: str) -> Alter | None:
    """Return what sets an input to its missing value; None when it is not read."""
    if name not in inside.inputs:
        return None
    column = inside.inputs.index(name)

    def alter(values: Array) -> Array:
        changed = values.copy()
        changed[..., column] = inside.missing
        return changed

    return alter


def permute(inside: ReadsInputs, name: str, rng: np.random.Generator) -> Alter | None:
    """Return what exchanges an input among the windows of a batch; None when it is not read."""
    if name not in inside.inputs:
        return None
    column = inside.inputs.index(name)

    def alter(values: Array) -> Array:
        changed = values.copy()
        changed[..., column] = values[rng.permutation(len(values))][..., column]
        return changed

    return alter


def _forecast(
    readers: list[Reader], make_alter: Callable[[Reader], Alter | None], shape: tuple[int, int, int]
) -> Float:
    """Return the expected log returns with altered inputs, `[T, N, H]`."""
    mean = np.full(shape, np.nan)
    for reader in readers:
        alter = make_alter(reader)
        if alter is None:
            found = reader.analyst.predict(reader.contexts).mean
        else:
            with reader.inside.altering(alter):
                found = reader.analyst.predict(reader.contexts).mean
        mean[reader.dates, reader.symbols] = found
    return mean


def _collect(
    analyst: Analyst,
    inside: ReadsInputs,
    window: Market,
    asked: npt.NDArray[np.int64],
    judged: npt.NDArray[np.int64],
) -> Iterator[Reader]:
    """Yield all windows of a model at once: inputs are exchanged among them."""
    rows, columns = [], []
    options = {"length": analyst.context_length, "min_history": analyst.min_history}
    for row, column, _ in iterate_contexts(window, asked, fields=analyst.fields[:1], **options):
        rows.append(row)
        columns.append(column)
    if rows:
        row, column = np.concatenate(rows), np.concatenate(columns)
        contexts = make_contexts(window, row, column, length=analyst.context_length, fields=analyst.fields)
        yield Reader(analyst, inside, np.searchsorted(judged, row), np.asarray(column, dtype=np.int64), contexts)
