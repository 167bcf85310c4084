"""The blend, walk-forward: refitted on the outcomes that are known, applied to the sessions that follow.

Axes legend: T sessions, N symbols, K forecasts that are combined, H horizons, R sessions of a refit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from alfred.analysts.forecast import DEFAULT_LEVELS, list_signals
from alfred.analysts.settings import AnalystSettings
from alfred.config import BlendSettings
from alfred.data.market import Market
from alfred.data.signals import Signals, SignalSpec
from alfred.errors import ConfigError
from alfred.training.blending.panels import MEAN, Panel, make_panel, measure_volatility
from alfred.training.blending.ridge import Sums, choose_penalty, solve
from alfred.training.pieces import Piece
from alfred.training.recalibration import Recalibration, Recorder
from alfred.typing import BoolArray, Float

QUANTITIES = (MEAN, "dispersion")
# The sum of the equal weights before anything is known: an information coefficient that daily forecasts may well have.
_PRIOR = 0.02


@dataclass(frozen=True, eq=False)
class Weights:
    """How one horizon is combined from some session on.

    Attributes:
        panel: The forecasts.
        start: First session that is fitted on.
        stop: Session after the last one whose outcome is known.
        level_penalty: Penalty of the levels; None while too little is known, and equal weights stand.
        difference_penalty: Penalty of the differences, likewise.
        nonnegative: As in `solve`.
        min_days: Outcomes of its own that an analyst needs before it is heard beside those who have them: until then
            its gaps are filled with what the others said, and would earn it their weight.
    """

    panel: Panel
    start: int
    stop: int
    level_penalty: float | None
    difference_penalty: float | None
    nonnegative: bool
    min_days: int = 0

    def read(self, heard: BoolArray) -> tuple[Float, Float]:
        """Return the weights of levels and of differences when some analysts forecast, both `[K]`.

        Those who are not heard have no weight; the others are weighed as if they had always been alone. There are many
        differences for each level, so that the weights of levels shrink towards those of differences.

        Args:
            heard: Who forecast, `[K]`.
        """
        level, difference = np.zeros(len(heard)), np.zeros(len(heard))
        level[heard] = difference[heard] = _PRIOR / heard.sum()
        panel = self.panel
        if self.difference_penalty is not None:
            known = panel.difference_sums.between(self.start, self.stop).only(heard)
            difference[heard] = solve(known, self.difference_penalty, nonnegative=self.nonnegative)
        if self.level_penalty is not None:
            known = panel.level_sums.between(self.start, self.stop).only(heard)
            target = difference[heard]
            level[heard] = solve(known, self.level_penalty, nonnegative=self.nonnegative, target=target)
        return level, difference

    def combine(self, rows: slice) -> Float:
        """Return the expected log returns of some sessions, `[R, N]`; NaN where nobody forecast."""
        panel = self.panel
        answered = panel.answered[rows]
        tried = answered & find_tried(panel, self.start, self.stop, self.min_days)
        heard = np.where(tried.any(axis=2, keepdims=True), tried, answered)
        result = np.full(heard.shape[:2], np.nan)
        patterns, places = np.unique(heard.reshape(-1, heard.shape[2]), axis=0, return_inverse=True)
        places = places.reshape(heard.shape[:2])
        for number, pattern in enumerate(patterns):
            if not pattern.any():
                continue
            level, difference = self.read(pattern)
            said = (panel.levels[rows] * level).sum(axis=1)[:, None] + (panel.differences[rows] * difference).sum(
                axis=2
            )
            result = np.where(places == number, said, result)
        return np.asarray(result * panel.unit[rows])


def can_blend(specs: Iterable[SignalSpec]) -> bool:
    """Return whether there is something to combine: an expected return among the signals of the analysts."""
    return any(spec.quantity == MEAN for spec in specs)


def find_blended(names: Sequence[str], horizons: Sequence[int], settings: BlendSettings) -> dict[int, list[str]]:
    """Return the signals that are combined by their horizon, shortest first.

    Args:
        names: Names of the signals of the analysts, `[K]`.
        horizons: Their horizons, `[K]`.
        settings: Of the blend.

    Raises:
        ConfigError: No analyst forecasts a return, or none at a horizon that is asked for.
    """
    found: dict[int, list[str]] = {}
    for name, horizon in zip(names, horizons, strict=True):
        if SignalSpec.from_name(name, horizon).quantity == MEAN:
            found.setdefault(horizon, []).append(name)
    for horizon in settings.horizons or ():
        if horizon not in found:
            raise ConfigError(
                f"blend.horizons names {horizon}, at which no analyst forecasts; known: "
                f"{', '.join(map(str, sorted(found))) or 'none'}"
            )
    if not found:
        raise ConfigError("the blend combines expected returns, and no analyst forecasts one; leave blend out")
    return {horizon: found[horizon] for horizon in sorted(settings.horizons or found)}


def name_blend(settings: BlendSettings, horizons: Iterable[int]) -> list[str]:
    """Return the names of the signals of the blend."""
    return [
        SignalSpec(settings.label, quantity, horizon).name for horizon in sorted(horizons) for quantity in QUANTITIES
    ]


def blend_walk_forward(
    market: Market, signals: Signals, settings: BlendSettings, recorder: Recorder | None = None
) -> Signals:
    """Combine the forecasts of all analysts.

    The weights of a session come from a refit before it, which knew the outcomes up to its own close. Until
    `min_days` sessions have outcomes, all weights are equal. Every horizon becomes an expected return and a dispersion:
    the trailing volatility over the horizon, calibrated by the outcomes of the blend's own earlier forecasts.

    Args:
        market: The market.
        signals: Out-of-sample signals of the analysts, and of nothing else.
        settings: How.
        recorder: Keeps the calibrated distributions.

    Returns:
        Signals on the same dates and symbols, `[T, N, 2 H]`. `trained_until` is the latest of the refit and of the
        models that are combined.

    Raises:
        ConfigError: There is nothing to combine, or the symbols are not those of the market.
    """
    if signals.symbols != market.symbols:
        raise ConfigError(
            "the blend needs signals of every symbol of the market, in its order; select the same symbols"
        )
    blended = find_blended(signals.names, signals.horizons, settings)
    used = signals.select([name for names in blended.values() for name in names])
    volatility = measure_volatility(market)
    panels = [make_panel(market, used.select(names), horizon, volatility) for horizon, names in blended.items()]
    n_dates = len(signals.dates)
    refits = range(0, n_dates, settings.refit_every_days)
    mean = np.full((n_dates, len(signals.symbols), len(panels)), np.nan)
    stamps = used.trained_until.astype("datetime64[s]").max(axis=1)
    for first in refits:
        rows = slice(first, min(first + settings.refit_every_days, n_dates))
        for place, panel in enumerate(panels):
            weights = fit_weights(panel, first - 1, settings)
            mean[rows, :, place] = weights.combine(rows)
            if (weights.level_penalty, weights.difference_penalty) != (None, None):
                stamps[rows] = np.maximum(stamps[rows], signals.dates[first - 1].to_datetime64())
    own = AnalystSettings(kind="blend", name=settings.label, horizons=tuple(blended), calibration=settings.calibration)
    values = _add_spread(market, signals, mean, panels, own, recorder, settings.refit_every_days)
    names, horizons = list_signals(own)
    cutoffs = list(used.knowledge_cutoffs.values())
    return Signals(
        dates=signals.dates,
        symbols=signals.symbols,
        names=names,
        values=values,
        trained_until=stamps,
        horizons=horizons,
        knowledge_cutoffs={settings.label: max(cutoffs)} if cutoffs else {},
    ).select(name_blend(settings, blended))


def find_tried(panel: Panel, start: int, stop: int, min_days: int) -> BoolArray:
    """Return who has enough outcomes of its own in the sessions from `start` to before `stop`, `[K]`."""
    return np.asarray(panel.own[stop] - panel.own[start] >= min_days)


def fit_weights(panel: Panel, last: int, settings: BlendSettings) -> Weights:
    """Return the weights that are known at the close of a session.

    Args:
        panel: The forecasts of one horizon.
        last: The session; the outcomes of later ones are not read.
        settings: How.
    """
    # The outcome of session s is known at the close of s + horizon.
    stop = max(last - panel.horizon + 1, 0)
    start = 0 if settings.max_train_days is None else max(0, stop - settings.max_train_days)

    # Who is not heard yet does not choose how those are weighed who are: what fills its gaps is what they said.
    tried = find_tried(panel, start, stop, settings.min_days)
    voters = tried if tried.any() else np.ones_like(tried)

    def choose(sums: Sums, find_target: Callable[[int, int], Float | None]) -> float | None:
        if stop - start < settings.min_days or sums.between(start, stop).count < settings.min_days:
            return None
        return choose_penalty(
            sums.only(voters),
            start,
            stop,
            settings.penalties,
            purge=panel.horizon,
            n_blocks=settings.n_blocks,
            nonnegative=settings.nonnegative,
            find_target=find_target,
        )

    difference = choose(panel.difference_sums, lambda _start, _stop: None)

    def find_target(begin: int, end: int) -> Float | None:
        past = panel.difference_sums.between(begin, end).only(voters)
        return None if difference is None else solve(past, difference, nonnegative=settings.nonnegative)

    return Weights(
        panel, start, stop, choose(panel.level_sums, find_target), difference, settings.nonnegative, settings.min_days
    )


def _add_spread(
    market: Market,
    signals: Signals,
    mean: Float,
    panels: Sequence[Panel],
    own: AnalystSettings,
    recorder: Recorder | None,
    step: int,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return all signals of a forecaster with means `[T, N, H]` and a calibrated normal around them, `[T, N, K]`."""
    units = np.stack([panel.unit for panel in panels], axis=2)
    quantiles = mean[..., None] + units[..., None] * ndtri(np.asarray(DEFAULT_LEVELS))
    whole = np.concatenate([mean[..., None], quantiles], axis=3).astype(np.float32)
    # All horizons of a window are forecast, or none: an analyst may offer some of them alone.
    whole[~np.isfinite(whole).all(axis=(2, 3))] = np.nan
    rows = market.dates.get_indexer(signals.dates)
    recalibration = Recalibration(own, market.n_symbols, recorder)
    found = []
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        window = market.until(market.dates[part[-1]])
        values = whole[first : first + step]
        nothing = np.empty((*values.shape[:2], 0), dtype=np.float32)
        found.append(recalibration.make_signals(window, part, Piece(DEFAULT_LEVELS, values, nothing)))
    return np.concatenate(found)
