"""How often a search of 200 trials on pure noise ends with "beats", when the truth is that nothing can.

    OMP_NUM_THREADS=1 python benchmarks/bench_honesty.py --json

Each study has a market of its own, whose signals say nothing: 10 assets, six years. Optuna (TPE, the sampler of
`alfred tune`) chooses the tilt of a portfolio on four signals, its strength, its smoothing and its pace, in 200
trials, for the largest Sharpe ratio beyond equal weights on the first four years, net of costs through the ledger. The
winner is then compared with equal weights by the rule of every report:

- `false_beats`: on the four years that it was chosen on, where it pays for 200 trials with the spread of their Sharpe
  ratios. This is the worst that a user can do, and the figure that has to stay small;
- `naive_false_beats`: on the same years, as if it had been the only trial. What a report without a log of trials says;
- `locked_false_beats`: on the two years that no trial saw, paying for 200 trials.

A study in which no trial is better than equal weights is counted like any other. The mean of the winners' differences
on both parts is shown as well.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from alfred.agents.strategies.registry import make_baselines
from alfred.data.market import Market
from alfred.data.synthetic.planted import make_planted_market
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics.comparisons import Pair, judge
from alfred.evaluation.statistics.deflation import Trials
from alfred.notebook.policies import TablePolicy
from alfred.training.search.space import Choice, Real, Space, suggest_settings
from alfred.training.search.study import StudyPlan, count_trials, make_sampler, silence_optuna
from alfred.typing import Float

STUDIES, TRIALS = 100, 200
CHOSEN_DAYS, LOCKED_DAYS = 1008, 504
SETTINGS = PortfolioSettings(cost_bps=5.0, slippage_bps=0.0)
INTERVALS = IntervalSettings(n_replicates=1000)
EQUAL_WEIGHT = "equal weight"
SPACE: Space = {
    **{f"tilt_{k}": Real(low=-1, high=1) for k in range(4)},
    "strength": Real(low=0.05, high=5.0, log=True),
    "smoothing": Real(low=0.0, high=0.98),
    "pace": Choice(options=(1, 5, 21)),
}


@dataclass(frozen=True, eq=False)
class Tilt:
    """The Sharpe ratio of a tilt on useless signals beyond equal weights; see `Objective`."""

    market: Market
    signals: Float
    equal_weight: Backtest

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        return suggest_settings(trial, SPACE)

    def evaluate(self, trial: optuna.Trial, chosen: dict[str, Any]) -> float:
        record = walk_tilt(self.market, self.signals, chosen)
        trial.set_user_attr("sharpe", compute_sharpe(record.excess, self.market.periods_per_year))
        own, other = (compute_sharpe(item.excess, self.market.periods_per_year) for item in (record, self.equal_weight))
        return float(own - other)


def walk_tilt(market: Market, signals: Float, chosen: dict[str, Any]) -> Backtest:
    """Walk softmax(strength * tilt . signals), smoothed over decisions of a pace, through the ledger."""
    scores = signals @ np.array([chosen[f"tilt_{k}"] for k in range(4)])
    weights = np.exp(chosen["strength"] * scores)
    weights /= weights.sum(axis=1, keepdims=True)
    held = weights[0]
    targets = np.zeros((len(weights), market.n_symbols + 1))
    for row, wanted in enumerate(weights):
        if row % chosen["pace"] == 0:
            held = chosen["smoothing"] * held + (1 - chosen["smoothing"]) * wanted
        targets[row, : len(held)] = held
    policy = TablePolicy(targets, "tilt")
    return backtest(policy, make_walk(market, None, SETTINGS, policy))


def run_study(number: int, n_trials: int) -> dict[str, Any]:
    """Search on one market of noise, and judge the winner."""
    silence_optuna()
    world = make_planted_market(0.0, n_days=CHOSEN_DAYS + LOCKED_DAYS, seed=9000 + number)
    dates = world.market.dates
    values = world.signals.values[:, :-1, :4].astype(np.float64)
    parts = {
        "chosen": (world.market.until(dates[CHOSEN_DAYS - 1]), values[:CHOSEN_DAYS]),
        "locked": (world.market.since(dates[CHOSEN_DAYS]), values[CHOSEN_DAYS:]),
    }
    market, signals = parts["chosen"]
    objective = Tilt(market, signals, walk_equal_weight(market))
    plan = StudyPlan("noise", {}, objective, n_trials, ("maximize",), seed=number)
    study = optuna.create_study(direction="maximize")
    for done in range(n_trials):
        study.sampler = make_sampler(plan, done)
        study.optimize(lambda trial: objective.evaluate(trial, objective.suggest(trial)), n_trials=1)
    sharpes = [trial.user_attrs["sharpe"] for trial in study.get_trials(states=(TrialState.COMPLETE,))]
    trials = Trials.declare(count_trials(study.trials), sharpes)
    best = suggest_settings(study.best_trial, SPACE)
    found: dict[str, Any] = {}
    for name, (where, known) in parts.items():
        own, other = walk_tilt(where, known, best), walk_equal_weight(where)
        returns = np.column_stack([own.excess, other.excess])
        for paid, told in ((name, trials), (f"{name}_naive", Trials())):
            (verdict,) = judge(returns, [Pair(0, 1, EQUAL_WEIGHT)], INTERVALS, told, where.periods_per_year)
            found[paid] = verdict.outcome
        found[f"{name}_difference"] = verdict.difference
    return found


def walk_equal_weight(market: Market) -> Backtest:
    policy = next(item for item in make_baselines((), market, ()) if item.name == EQUAL_WEIGHT)
    return backtest(policy, make_walk(market, None, SETTINGS, policy))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="6 studies of 40 trials")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--studies", type=int, default=STUDIES, help="studies; a hundred take forty CPU minutes")
    parser.add_argument("--first", type=int, default=0, help="number of the first study")
    options = parser.parse_args()
    n_studies, n_trials = (6, 40) if options.quick else (options.studies, TRIALS)
    numbers = range(options.first, options.first + n_studies)
    with ProcessPoolExecutor(options.jobs) as pool:
        found = list(pool.map(run_study, numbers, [n_trials] * n_studies))
    result = {
        "studies": n_studies,
        "trials": n_trials,
        "false_beats": sum(item["chosen"] == "beats" for item in found),
        "naive_false_beats": sum(item["chosen_naive"] == "beats" for item in found),
        "locked_false_beats": sum(item["locked"] == "beats" for item in found),
        "difference_where_chosen": float(np.mean([item["chosen_difference"] for item in found])),
        "difference_locked": float(np.mean([item["locked_difference"] for item in found])),
    }
    print(json.dumps(result) if options.json else "\n".join(f"{key}: {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
