"""What the blend loses without each analyst: it is combined again from the others."""

from __future__ import annotations

import numpy as np

from alfred.data.signals import Signals
from alfred.errors import ConfigError
from alfred.evaluation.ablation import Ablation, note_short
from alfred.training.ablation.scores import Taken, judge_taken, read_outcomes, score
from alfred.training.blending.panels import MEAN
from alfred.training.blending.walk import blend_walk_forward, can_blend, find_blended
from alfred.training.judging.walking import find_first_decision
from alfred.training.prepared import Prepared
from alfred.training.progress import Reporter, Silence
from alfred.typing import Float


def ablate_blend(prepared: Prepared, reporter: Reporter | None = None) -> Ablation | None:
    """Say what the blend of a run owes to each analyst, over the test.

    Weights are fitted again on the other analysts, session by session as in a run. Loss is the squared error of the
    expected return in units of volatility; balanced accuracy is that of calling a rise.

    Args:
        prepared: The run.
        reporter: Progress callback.

    Returns:
        None when there is no blend, or one analyst alone in it.
    """
    settings = prepared.experiment.blend
    labels = [item.label for item in prepared.experiment.analysts]
    own = [
        name
        for name, spec in zip(prepared.signals.names, prepared.signals.specs, strict=True)
        if spec.analyst in labels
    ]
    signals = prepared.signals.select(own)
    if settings is None or not can_blend(signals.specs):
        return None
    blended = find_blended(signals.names, signals.horizons, settings)
    heard = [label for label in labels if any(f"{label}.{MEAN}_{h}" in names for h, names in blended.items())]
    if len(heard) < 2:
        return None
    # Only the mean is judged: the spread needs no calibration.
    plain = settings.model_copy(update={"calibration": settings.calibration.model_copy(update={"kind": "none"})})
    market = prepared.market.until(prepared.folds[-1].test[1])
    known = signals.until(market.dates[-1])
    first = known.dates >= find_first_decision(prepared)
    dates = known.dates[first]
    outcomes = read_outcomes(market, dates, tuple(blended))
    told = (reporter or Silence()).begin(f"ablate {settings.label}", len(heard) + 1)

    def combine(names: list[str]) -> Float:
        means = np.full((int(first.sum()), market.n_symbols, len(blended)), np.nan)
        try:
            found: Signals = blend_walk_forward(
                market, known.select(names), plain.model_copy(update={"horizons": None})
            )
        except ConfigError:
            return means  # nobody is left
        for place, horizon in enumerate(blended):
            name = f"{settings.label}.{MEAN}_{horizon}"
            if name in found.names:
                means[:, :, place] = found.values[first][:, :, found.names.index(name)]
        return means

    every = [name for names in blended.values() for name in names]
    whole = combine(every)
    told(1)
    taken = []
    for number, label in enumerate(heard):
        without = combine([name for name in every if name.partition(".")[0] != label])
        # Where nobody else forecasts at this horizon, nothing is said: a return of zero.
        without = np.where(np.isfinite(whole) & ~np.isfinite(without), 0.0, without)
        taken.append(Taken(label, "dropped", [score(without, outcomes)]))
        told(number + 2)
    parts = judge_taken(score(whole, outcomes), taken, outcomes, prepared.experiment.intervals)
    return Ablation(settings.label, "blend", parts, note_short(parts))
