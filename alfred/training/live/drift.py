"""Is this still the strategy that was judged? A sequential test that may be looked at every day.

Daily differences to the benchmark are divided by their own volatility up to the day before, so that calm and wild
months weigh the same. Each new one is ranked among those of the judged test and all that came since: a conformal
p-value (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005). While new days are like the judged
ones - while they could have come in any order - these p-values are independent and uniform, whatever the distribution,
and without any parameter that would have to be estimated from the test.

A test martingale bets against that. With z the normal score of the p-value, n of them and their sum S, the mixture of
likelihood ratios of N(m, 1) against N(0, 1) over m from N(0, tau^2) is

    M = (1 + n tau^2)^(-1/2) exp(tau^2 S^2 / (2 (1 + n tau^2)))      (Robbins, 1970)

for a strategy that earns more or less than it did, and the mean over a few scales s of prod N(z; 0, s^2) / N(z; 0, 1)
for one that is wilder or calmer. Their mean E starts at one and is a martingale while nothing changed, so that the
chance that it ever reaches 1 / alpha is at most alpha (Ville, 1939): a false alarm in the whole life of an account, not
a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from alfred.typing import FloatArray

ALPHA = 0.05
_SPREAD = 0.3  # of the mean, in daily standard deviations; see docs/paper.md for what it finds when
_SCALES = (0.5, 0.7, 1.4, 2.0)
_HALF_LIFE = 8  # sessions: a slower one leaves clusters of volatility in the scores, and false alarms (docs/paper.md)
_WARM_UP = 21  # sessions from which the first volatility is taken
_LEAST = 60  # judged sessions without which a rank says too little
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Drift:
    """What the test says.

    Attributes:
        n_judged: Sessions of the judged test that new ones are ranked among.
        n_new: Sessions since.
        evidence: The martingale E after each new session, `[n_new]`.
        alpha: Chance of an alarm, ever, while nothing changed.
        alarm: Number of the new session at which E reached `1 / alpha` first, or None.
        direction: What the ranks lean to: `higher`, `lower`, `wilder`, `calmer`, or nothing where there is no alarm.
        reason: Why there is no test; empty where there is one.
    """

    n_judged: int
    n_new: int
    evidence: FloatArray
    alpha: float
    alarm: int | None
    direction: str
    reason: str = ""


def watch_drift(
    judged: FloatArray, new: FloatArray, labels: Sequence[str], alpha: float = ALPHA, half_life: float = _HALF_LIFE
) -> Drift:
    """Compare the days since a strategy was judged with those that it was judged on.

    Args:
        judged: Daily differences to the benchmark in the judged test, in order, `[J]`.
        new: Those since, in order, `[n]`.
        labels: A text for each new day, which breaks ties at random but always in the same way, `[n]`.
        alpha: Chance of a false alarm, ever.
        half_life: Sessions, of the volatility that differences are divided by.
    """
    scores = standardise(np.concatenate([judged, new]), half_life)
    n_judged = len(scores) - len(new)
    nothing = np.empty(0)
    if n_judged < _LEAST:
        needed = _LEAST + _WARM_UP
        return Drift(n_judged, len(new), nothing, alpha, None, "", f"the test was shorter than {needed} sessions")
    if not len(new):
        return Drift(n_judged, 0, nothing, alpha, None, "", "no session has come since the test")
    if scores[:n_judged].std() < _TINY:
        return Drift(n_judged, len(new), nothing, alpha, None, "", "the strategy never differed from the benchmark")
    ranks = rank_in_order(scores, n_judged, draw_ties(labels))
    z = stats.norm.ppf(ranks)
    mean, scale = bet_on_mean(z), bet_on_scale(z)
    evidence = 0.5 * (mean + scale)
    crossed = np.flatnonzero(evidence >= 1.0 / alpha)
    alarm = int(crossed[0]) if len(crossed) else None
    return Drift(n_judged, len(new), evidence, alpha, alarm, _find_direction(z, mean, scale, alarm))


def standardise(differences: FloatArray, half_life: float = _HALF_LIFE) -> FloatArray:
    """Divide each difference by the volatility of those before it, `[T]`; the first 21 are spent on the first one.

    The volatility is the root of an exponential mean of squares.
    """
    if len(differences) <= _WARM_UP:
        return np.empty(0)
    decay = 0.5 ** (1.0 / half_life)
    variance = float(np.mean(differences[:_WARM_UP] ** 2))
    found = np.empty(len(differences) - _WARM_UP)
    for place, value in enumerate(differences[_WARM_UP:]):
        found[place] = value / np.sqrt(max(variance, _TINY**2))
        variance = decay * variance + (1.0 - decay) * value**2
    return found


def rank_in_order(scores: FloatArray, n_judged: int, ties: FloatArray) -> FloatArray:
    """Return the conformal p-value of each score after the first ones: its rank among all before it and itself.

    Args:
        scores: Those of the judged test, then new ones, `[J + n]`.
        n_judged: J.
        ties: Uniform numbers, one for each new score, `[n]`: where in the step of its rank the p-value lies.
    """
    known = list(np.sort(scores[:n_judged]))
    found = np.empty(len(scores) - n_judged)
    for place, value in enumerate(scores[n_judged:]):
        below, upto = int(np.searchsorted(known, value, "left")), int(np.searchsorted(known, value, "right"))
        found[place] = (below + ties[place] * (upto - below + 1)) / (len(known) + 1)
        known.insert(below, value)
    return found


def bet_on_mean(z: FloatArray, spread: float = _SPREAD) -> FloatArray:
    """Return the normal mixture against a mean of zero after each score, `[n]`."""
    total, count = np.cumsum(z), np.arange(1, len(z) + 1)
    inside = 1.0 + count * spread**2
    return np.asarray(np.exp(np.minimum(spread**2 * total**2 / (2.0 * inside), 700.0)) / np.sqrt(inside))


def bet_on_scale(z: FloatArray) -> FloatArray:
    """Return the mean over a few scales of the likelihood ratio against a scale of one after each score, `[n]`."""
    squares, count = np.cumsum(z**2), np.arange(1, len(z) + 1)
    logs = [0.5 * squares * (1.0 - 1.0 / scale**2) - count * np.log(scale) for scale in _SCALES]
    return np.asarray(np.exp(np.minimum(logs, 700.0)).mean(axis=0))


def draw_ties(labels: Sequence[str]) -> FloatArray:
    """Return a number strictly between 0 and 1 for each label, the same one whenever it is asked for."""
    digests = [int.from_bytes(hashlib.sha256(label.encode()).digest()[:6], "big") for label in labels]
    return (np.array(digests, dtype=np.float64) + 0.5) / 2.0**48


def _find_direction(z: FloatArray, mean: FloatArray, scale: FloatArray, alarm: int | None) -> str:
    if alarm is None:
        return ""
    if mean[alarm] >= scale[alarm]:
        return "higher" if z[: alarm + 1].sum() > 0 else "lower"
    return "wilder" if np.mean(z[: alarm + 1] ** 2) > 1.0 else "calmer"
