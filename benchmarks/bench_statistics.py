"""Does the rule behind every verdict keep its promises: `python benchmarks/bench_statistics.py [--json] [--quick]`.

Histories are drawn in which the truth is known, and judged by `alfred.evaluation.statistics.comparisons.judge`, the
function that decides every verdict of a report. Measured are

- size: how often a strategy that is no better than its baseline is said to beat it (2.5 per cent promised), and how
  often it is said not to (2.5 per cent), with one and with fifty trials;
- power: how often a true difference of the printed detectable size is found (0.8 promised);
- the table: how often any of the rows below the first beats anything when none is better (2.5 per cent promised), with
  and without the correction, and how often any verdict of the whole page does;
- selection: how often the best of fifty strategies without skill is said to beat its baseline;
- coverage: how often the 95 per cent intervals of one Sharpe ratio hold the truth.

Axes legend: H histories, T sessions, S series.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.bootstrap import (
    choose_mean_block,
    compute_interval,
    make_stationary_indices,
    resample_metrics,
)
from alfred.evaluation.statistics.comparisons import Pair, judge
from alfred.evaluation.statistics.deflation import Trials
from alfred.evaluation.statistics.significance import Verdict

DAILY, BASE_SHARPE, BATCH = 0.01, 0.6, 100
World = Callable[[np.random.Generator, int, int, int], np.ndarray]


def draw_normal(rng: np.random.Generator, n: int, n_days: int, n_series: int) -> np.ndarray:
    """Independent normal sessions; series correlate at 0.9. `[H, T, S]`, mean 0 and variance 1, as in all worlds."""
    return _mix(rng.standard_normal((n, n_days, 1 + n_series)), 0.9)


def draw_garch(rng: np.random.Generator, n: int, n_days: int, n_series: int) -> np.ndarray:
    """Student t sessions with five degrees of freedom and volatility in clusters (GARCH); correlation 0.9."""
    shocks = rng.standard_t(5, (n, n_days, 1 + n_series)) / np.sqrt(5 / 3)
    variance = np.ones(n)
    for day in range(n_days):
        shocks[:, day] *= np.sqrt(variance)[:, None]
        variance = 0.05 + 0.07 * shocks[:, day, 0] ** 2 + 0.88 * variance
    return _mix(shocks, 0.9)


def draw_autocorrelated(rng: np.random.Generator, n: int, n_days: int, n_series: int) -> np.ndarray:
    """Normal sessions whose first autocorrelation is 0.2 (as of prices that are stale); correlation 0.9."""
    shocks = rng.standard_normal((n, n_days, 1 + n_series))
    for day in range(1, n_days):
        shocks[:, day] = 0.2 * shocks[:, day - 1] + np.sqrt(1 - 0.2**2) * shocks[:, day]
    return _mix(shocks, 0.9)


def draw_skewed(rng: np.random.Generator, n: int, n_days: int, n_series: int) -> np.ndarray:
    """The strategies' own sessions have rare large losses (skew -2), the last series none; correlation 0.5."""
    shocks = rng.standard_normal((n, n_days, 1 + n_series))
    shocks[:, :, 1:-1] = 1.0 - rng.exponential(1.0, (n, n_days, n_series - 1))
    return _mix(shocks, 0.5)


WORLDS: dict[str, World] = {
    "normal": draw_normal,
    "GARCH-t": draw_garch,
    "autocorrelated": draw_autocorrelated,
    "skewed": draw_skewed,
}


def _mix(shocks: np.ndarray, correlation: float) -> np.ndarray:
    return np.sqrt(correlation) * shocks[:, :, :1] + np.sqrt(1 - correlation) * shocks[:, :, 1:]


def draw(world: str, n: int, n_days: int, sharpes: Sequence[float], seed: int) -> Iterator[np.ndarray]:
    """Yield n histories of daily excess returns with known annual Sharpe ratios, `[T, S]` each; the baseline last."""
    rng = np.random.default_rng(seed)
    for begin in range(0, n, BATCH):
        noise = WORLDS[world](rng, min(BATCH, n - begin), n_days, len(sharpes))
        yield from DAILY * (noise + np.asarray(sharpes) / np.sqrt(252))


def judge_pairs(
    world: str, n: int, n_days: int, gain: float, trials: Trials, n_replicates: int, seed: int
) -> list[Verdict]:
    """Judge a strategy that is better by `gain` in n histories."""
    found = []
    for number, returns in enumerate(draw(world, n, n_days, [BASE_SHARPE + gain, BASE_SHARPE], seed)):
        settings = IntervalSettings(n_replicates=n_replicates, seed=number)
        found += judge(returns, [Pair(0, 1, "baseline")], settings, trials)
    return found


def share(hits: Sequence[bool]) -> tuple[float, float]:
    """Return a share in per cent with its standard error."""
    rate = float(np.mean(hits))
    return round(100 * rate, 2), round(100 * float(np.sqrt(max(rate * (1 - rate), 1e-4) / len(hits))), 2)


def measure_rule(world: str, n_days: int, n_trials: int, n: int, n_replicates: int) -> dict[str, object]:
    """Measure size without a difference, and power at the difference that the same histories print as detectable."""
    trials = Trials(n_trials)
    null = judge_pairs(world, n, n_days, 0.0, trials, n_replicates, seed=1)
    detectable = float(np.mean([verdict.detectable for verdict in null]))
    power = judge_pairs(world, n, n_days, detectable, trials, n_replicates, seed=2)
    return {
        "world": world,
        "n_days": n_days,
        "n_trials": n_trials,
        "beats": share([verdict.outcome == "beats" for verdict in null]),
        "does not beat": share([verdict.outcome == "does not beat" for verdict in null]),
        "detectable": round(detectable, 3),
        "power": share([verdict.outcome == "beats" for verdict in power]),
        "mean block": round(float(np.mean([verdict.block_days for verdict in null])), 1),
    }


def measure_table(world: str, n_days: int, n: int, n_replicates: int) -> dict[str, object]:
    """Measure false gains of a page with ten equal rows: the strategy, seven others, equal weight and the benchmark."""
    n_rows = 10
    pairs = [Pair(row, n_rows - 1, "SPY") for row in range(n_rows - 1)]
    pairs += [Pair(row, n_rows - 2, "equal weight") for row in range(n_rows) if row != n_rows - 2]
    corrected, plain, anywhere = [], [], []
    for number, returns in enumerate(draw(world, n, n_days, [BASE_SHARPE] * n_rows, seed=3)):
        found = judge(returns, pairs, IntervalSettings(n_replicates=n_replicates, seed=number), Trials())
        rows = [verdict for pair, verdict in zip(pairs, found, strict=True) if pair.own != 0]
        corrected.append(any(verdict.outcome == "beats" for verdict in rows))
        plain.append(any(verdict.interval[0] > 0 for verdict in rows))
        anywhere.append(any(verdict.outcome == "beats" for verdict in found))
    return {
        "world": world,
        "n_days": n_days,
        "a row below the first": share(corrected),
        "the same, not corrected": share(plain),
        "any verdict of the page": share(anywhere),
    }


def measure_selection(world: str, n_days: int, n: int, n_replicates: int) -> dict[str, object]:
    """Measure how often the best of fifty equal strategies beats its baseline, by what is known of the trials."""
    n_trials = 50
    counts: dict[str, list[bool]] = {"one trial declared": [], "fifty declared": [], "fifty logged": []}
    for number, returns in enumerate(draw(world, n, n_days, [BASE_SHARPE] * (n_trials + 1), seed=4)):
        sharpes = [compute_sharpe(series) for series in returns[:, :-1].T]
        chosen = returns[:, [int(np.argmax(sharpes)), -1]]
        settings = IntervalSettings(n_replicates=n_replicates, seed=number)
        for name, trials in zip(counts, (Trials(), Trials(n_trials), Trials.declare(n_trials, sharpes)), strict=True):
            counts[name].append(judge(chosen, [Pair(0, 1, "baseline")], settings, trials)[0].outcome == "beats")
    return {"world": world, "n_days": n_days} | {name: share(hits) for name, hits in counts.items()}


def measure_coverage(world: str, n_days: int, n: int, n_replicates: int) -> dict[str, object]:
    """Measure how often the percentile interval of one Sharpe ratio holds the truth."""
    hits = []
    for number, returns in enumerate(draw(world, n, n_days, [BASE_SHARPE, BASE_SHARPE], seed=5)):
        settings = IntervalSettings(n_replicates=n_replicates, seed=number)
        own = returns[:, :1]
        indices = make_stationary_indices(
            n_days, n_replicates, choose_mean_block(settings, own), np.random.default_rng(settings.seed)
        )
        low, high = compute_interval(resample_metrics(own, indices).sharpe[:, 0], settings.level)
        hits.append(low <= BASE_SHARPE <= high)
    return {"world": world, "n_days": n_days, "covered": share(hits)}


def main() -> None:
    """Print every measurement as it comes, or all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, and nothing else")
    parser.add_argument("--quick", action="store_true", help="a tenth of the histories: about two minutes")
    options = parser.parse_args()
    scale, n_replicates = (10, 199) if options.quick else (1, 399)
    began = time.perf_counter()
    results: dict[str, Any] = {}
    plan: list[tuple[str, Callable[..., dict[str, object]], list[tuple[object, ...]], int]] = [
        (
            "rule",
            measure_rule,
            [(world, n_days, n_trials) for n_days in (1260, 3150) for n_trials in (1, 50) for world in WORLDS],
            400,
        ),
        ("table", measure_table, [(world, 1260) for world in WORLDS], 400),
        ("selection", measure_selection, [(world, 1260) for world in ("normal", "GARCH-t")], 400),
        ("coverage", measure_coverage, [(w, n_days) for n_days in (252, 756, 2520) for w in WORLDS], 600),
    ]
    for name, measure, cases, n in plan:
        results[name] = []
        for case in cases:
            found = measure(*case, n // scale, n_replicates)
            results[name].append(found)
            if not options.json:
                print(f"{time.perf_counter() - began:6.0f} s  {name}: {found}", flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
