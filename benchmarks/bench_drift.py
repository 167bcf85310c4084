"""How often the drift alarm of a paper account is false, and how soon it finds a strategy that changed.

`python benchmarks/bench_drift.py` prints the table of docs/paper.md, in a few minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from alfred.training.live.drift import watch_drift
from alfred.typing import FloatArray

Draw = Callable[[np.random.Generator, int], FloatArray]
DAILY = 0.01


def draw_normal(rng: np.random.Generator, count: int) -> FloatArray:
    """Independent normal differences."""
    return rng.normal(0.0, DAILY, count)


def draw_fat_tails(rng: np.random.Generator, count: int) -> FloatArray:
    """Independent ones with Student's t of three degrees of freedom, of the same variance."""
    return np.asarray(DAILY / 3**0.5 * rng.standard_t(3, count))


def draw_clusters(rng: np.random.Generator, count: int) -> FloatArray:
    """GARCH(1, 1) with alpha 0.1, beta 0.89 and Student's t of five degrees of freedom."""
    found, variance = np.empty(count), DAILY**2
    for day in range(count):
        found[day] = np.sqrt(0.6 * variance) * rng.standard_t(5)
        variance = 0.01 * DAILY**2 + 0.1 * found[day] ** 2 + 0.89 * variance
    return found


def count_alarms(
    draw: Draw, change: Callable[[FloatArray], FloatArray], n_paths: int, n_new: int, half_life: float
) -> tuple[float, float]:
    """Return the share of accounts with an alarm, and the median session of it.

    Args:
        draw: Draws differences of a strategy as it was judged.
        change: What became of them since.
        n_paths: Accounts.
        n_new: Sessions since the test, which has 504.
        half_life: Of the volatility that differences are divided by.
    """
    alarms = []
    for seed in range(n_paths):
        path = draw(np.random.default_rng(seed), 504 + n_new)
        labels = [f"{seed} {day}" for day in range(n_new)]
        alarms.append(watch_drift(path[:504], change(path[504:]), labels, half_life=half_life).alarm)
    found = [alarm for alarm in alarms if alarm is not None]
    return len(found) / n_paths, float(np.median(found)) if found else float("nan")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, default=400)
    parser.add_argument("--sessions", type=int, default=504)
    parser.add_argument("--half-life", type=float, default=8.0)
    draws = {"normal": draw_normal, "fat tails": draw_fat_tails, "clusters": draw_clusters}
    parser.add_argument("--draw", choices=draws, help="only these differences")
    options = parser.parse_args()
    cases: dict[str, Callable[[FloatArray], FloatArray]] = {
        "nothing": lambda new: new,
        "0.1 deviations a session lower": lambda new: new - 0.1 * DAILY,
        "0.25 deviations a session lower": lambda new: new - 0.25 * DAILY,
        "0.5 deviations a session lower": lambda new: new - 0.5 * DAILY,
    }
    print("| what changed | differences | alarms | median session |\n| --- | --- | --- | --- |")
    for label, change in cases.items():
        for name, draw in draws.items():
            if options.draw not in (None, name):
                continue
            rate, session = count_alarms(draw, change, options.paths, options.sessions, options.half_life)
            print(f"| {label} | {name} | {rate:.1%} | {session:.0f} |", flush=True)


if __name__ == "__main__":
    main()
