"""The doctor: can the agents of a configuration learn at all, on its own universe, at its own costs?

A signal of known strength is planted into the user's market. What an agent makes of it, beside what the oracle, which
knows the model makes of it, says whether agent and environment are fine; the same signal with its dates shuffled says
whether skill is shown where there is none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from alfred.agents.settings import AgentSettings, DirectSettings
from alfred.agents.strategies.prices import MixSettings
from alfred.config import Experiment
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.splits import Fold, make_folds
from alfred.envs.policy import Policy
from alfred.evaluation.backtest import Backtest, backtest, make_walk
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.training.cross_fitting.folds import train_agent
from alfred.training.cross_fitting.utility import compute_utility
from alfred.training.doctor.oracle import Oracle, Planted, plant_signal, shuffle_signals
from alfred.training.progress import Reporter, Silence
from alfred.typing import FloatArray

# Below this gain in Sharpe ratio even the oracle has nothing to show for its knowledge after costs.
_LEAST_GAIN = 0.3
_FINE_SHARE = 0.5
_TOO_MANY_ERRORS = 2.0
_LONGER = "take a longer test range (more sessions, or a smaller splits.n_folds)"
_ADJUSTMENTS = (1.0, 0.5, 0.25, 0.1, 0.05)
# Fewer steps than this do not recover a planted signal even where everything is fine (docs/benchmarks.md, learning).
ENOUGH_STEPS = 50_000


@dataclass(frozen=True)
class AgentFinding:
    """What the doctor found out about one agent.

    Attributes:
        name: Of the agent.
        planted_sharpe: Its Sharpe ratio a year out of sample with the planted signal, net of costs, in excess of cash.
        share: Of the oracle's gain in Sharpe ratio over no skill.
        shuffled_sharpe: Its Sharpe ratio with the shuffled signal.
        shuffled_t: Its return over cash with the shuffled signal beyond what its exposure to equal weights explains, in
            standard errors: the intercept of a regression, which holding more or less risk does not move.
        steps: Environment steps of each of its trainings.
        share_error: Standard error of `share`: that of the difference of two Sharpe ratios on the same sessions, over
            the oracle's gain.
    """

    name: str
    planted_sharpe: float
    share: float
    shuffled_sharpe: float
    shuffled_t: float
    steps: int
    share_error: float = 0.0


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says.

    Attributes:
        verdict: One line.
        healthy: Whether agents and environment are fine.
        ic: Correlation of the planted signal with what it foretells.
        oracle_sharpe: Sharpe ratio a year of the oracle, which knows the signal, out of sample, net of costs, over
        cash.
        no_skill_sharpe: The same without the signal: means and covariance of the training range are all that it knows.
        agents: What was found about each agent.
    """

    verdict: str
    healthy: bool
    ic: float
    oracle_sharpe: float
    no_skill_sharpe: float
    agents: tuple[AgentFinding, ...]

    def to_json(self) -> dict[str, object]:
        """Return the diagnosis as JSON knows it, without NaN."""
        raw = asdict(self)
        for finding in raw["agents"]:
            finding |= {key: None for key, value in finding.items() if isinstance(value, float) and np.isnan(value)}
        return raw


def diagnose(
    experiment: Experiment,
    market: Market,
    *,
    ic: float = 0.1,
    max_steps: int = 150_000,
    reporter: Reporter | None = None,
) -> Diagnosis:
    """Train every agent of a configuration briefly on a planted signal, and again on the shuffled one.

    Args:
        experiment: The configuration; the direct agent is added when it is not among its agents.
        market: Its market.
        ic: Correlation to plant.
        max_steps: Environment steps of each training at most; twice as many for the direct agent, whose steps are
            cheap and whose updates are large.
        reporter: Progress callback.

    Raises:
        AlfredError: The data or the configuration cannot give a run.
    """
    listener = reporter or Silence()
    fold = make_folds(market.dates, experiment.splits, experiment.env.rebalance_every)[-1]
    planted = plant_signal(market, experiment.env, ic, np.random.default_rng(experiment.seed), known=fold.train)
    evaluator = Evaluator(experiment, market, fold, planted)
    no_skill = evaluator.walk(evaluator.make_oracle(1.0, knows=False), fold.test)
    equal = evaluator.walk(MixSettings().build(market, ()), fold.test)
    oracle = evaluator.walk(evaluator.find_oracle(), fold.test)
    base, best = measure_sharpe(no_skill), measure_sharpe(oracle)
    shuffled = shuffle_signals(planted.signals, np.random.default_rng(experiment.seed + 1))
    findings = []
    for settings in choose_agents(experiment.agents, max_steps):
        told = listener.begin(f"doctor: {settings.label}", 2)
        with_signal = evaluator.train(settings, planted.signals)
        told(1)
        without = evaluator.train(settings, shuffled)
        told(2)
        findings.append(
            AgentFinding(
                name=settings.label,
                planted_sharpe=measure_sharpe(with_signal),
                share=(measure_sharpe(with_signal) - base) / (best - base) if best > base else float("nan"),
                shuffled_sharpe=measure_sharpe(without),
                shuffled_t=measure_skill(without.excess, equal.excess),
                steps=settings.total_steps,
                share_error=measure_error(with_signal, no_skill) / (best - base) if best > base else float("nan"),
            )
        )
    verdict, healthy = judge(findings, best, base, gain_error=measure_error(oracle, no_skill))
    return Diagnosis(verdict, healthy, ic, best, base, tuple(findings))


def judge(
    findings: Sequence[AgentFinding], oracle_sharpe: float, no_skill_sharpe: float, *, gain_error: float = 0.0
) -> tuple[str, bool]:
    """Return one line of verdict, and whether all is well.

    Nothing is said that the test range cannot tell: a gain within two standard errors of none, and a share of it whose
    two standard errors reach over the line between fine and weak, are too small a budget to judge by.

    Args:
        findings: What was found about each agent.
        oracle_sharpe: Sharpe ratio of the oracle.
        no_skill_sharpe: The same without the signal.
        gain_error: Standard error of the difference of the two.
    """
    gain = oracle_sharpe - no_skill_sharpe
    if gain < _LEAST_GAIN:
        return (
            f"nothing to learn here: even knowing the planted signal gains only {gain:+.2f} Sharpe after costs; lower "
            "the costs or decide less often (env.rebalance_every)",
            False,
        )
    lucky = [item for item in findings if item.shuffled_t > _TOO_MANY_ERRORS]
    if lucky:
        return (
            f"leak: {lucky[0].name} shows skill on a shuffled signal ({lucky[0].shuffled_t:.1f} standard errors); "
            "something reads the future",
            False,
        )
    if gain < _TOO_MANY_ERRORS * gain_error:
        return (
            f"budget too small to judge: the oracle's own gain of {gain:+.2f} Sharpe has a standard error of "
            f"{gain_error:.2f}, so that the test range cannot tell it from luck; {_LONGER}",
            False,
        )
    # The oracle knows the model of one day; an agent that finds what the signal says of later days may do better.
    weak = [item for item in findings if not item.share >= _FINE_SHARE]
    unsure = [item for item in findings if _is_unsure(item)]
    if not weak and unsure:
        return f"budget too small to judge: {_list_shares(unsure)} may be luck; {_LONGER}", False
    if not weak:
        shares = ", ".join(f"{item.name} {item.share:.0%}" for item in findings)
        return f"learner fine, environment fine: of what is attainable, agents recover {shares}", True
    short = [item for item in weak if item.steps < ENOUGH_STEPS]
    if short:
        budgets = ", ".join(f"{item.name} {item.share:.0%} after {item.steps:,} steps" for item in short)
        return (
            f"budget too small to judge: {budgets} of what is attainable; fewer than {ENOUGH_STEPS:,} steps say "
            "nothing of agent or environment (--steps, total_steps)",
            False,
        )
    if unsure := [item for item in weak if _is_unsure(item)]:
        return (
            f"budget too small to judge: {_list_shares(unsure)} may be half of it as well as less; {_LONGER}",
            False,
        )
    if len(weak) == len(findings):
        return (
            f"environment or data at fault: no agent recovers half of the planted gain of {gain:+.2f} Sharpe; look at "
            "constraints, costs and the length of the history first",
            False,
        )
    names = ", ".join(f"{item.name} {item.share:.0%}" for item in weak)
    return f"environment fine, learner weak: {names} of what is attainable; give it more steps or its defaults", False


def _is_unsure(item: AgentFinding) -> bool:
    """Return whether two standard errors of a share reach over the line that it is on one side of."""
    reach = _TOO_MANY_ERRORS * item.share_error
    return item.share < reach if item.share >= _FINE_SHARE else item.share + reach >= _FINE_SHARE


def _list_shares(findings: Sequence[AgentFinding]) -> str:
    shares = ", ".join(f"{item.name} {item.share:.0%} ± {item.share_error:.0%}" for item in findings)
    return f"{shares} (standard error) of what is attainable"


class Evaluator:
    """Trains and walks policies on the last fold of a configuration."""

    def __init__(self, experiment: Experiment, market: Market, fold: Fold, planted: Planted) -> None:
        """Keep what is planted where."""
        self.experiment, self.market, self.fold, self.planted = experiment, market, fold, planted

    def walk(self, policy: Policy, span: tuple[object, object], signals: Signals | None = None) -> Backtest:
        """Walk a policy through a range, on the planted signals unless others are given."""
        known_signals = self.planted.signals if signals is None else signals
        walk = make_walk(self.market, known_signals, self.experiment.env, policy, start=span[0], end=span[1])
        return backtest(policy, walk)

    def train(self, settings: AgentSettings, signals: Signals) -> Backtest:
        """Train an agent on some signals and walk it through the test range."""
        fold = self.fold
        known, known_signals = self.market.until(fold.validation[1]), signals.until(fold.validation[1])
        with tempfile.TemporaryDirectory() as folder:
            trained = train_agent(
                known, known_signals, fold, settings, self.experiment.env, self.experiment.seed, Path(folder)
            )
        return self.walk(trained.policy, fold.test, signals)

    def make_oracle(self, adjustment: float, *, knows: bool = True) -> Oracle:
        """Return the oracle, which knows the model of the signal, or everything but the signal."""
        # Log growth has a risk aversion of one of its own.
        return Oracle(self.planted, 1.0 + self.experiment.env.reward.risk_aversion, adjustment, knows=knows)

    def find_oracle(self) -> Oracle:
        """Return the oracle that trades at the best pace on the validation range."""
        aversion = self.experiment.env.reward.risk_aversion
        oracles = [self.make_oracle(adjustment) for adjustment in _ADJUSTMENTS]
        return max(oracles, key=lambda oracle: compute_utility(self.walk(oracle, self.fold.validation), aversion))


def choose_agents(agents: Sequence[AgentSettings], max_steps: int) -> list[AgentSettings]:
    """Return the agents of a configuration with a limited budget, the direct agent among them."""
    chosen = list(agents)
    if not any(isinstance(settings, DirectSettings) for settings in chosen):
        chosen.insert(0, DirectSettings())
    limited = []
    for settings in chosen:
        steps = min(settings.total_steps, 2 * max_steps if isinstance(settings, DirectSettings) else max_steps)
        limited.append(settings.model_copy(update={"total_steps": steps, "validate_every": max(steps // 5, 1)}))
    return limited


def measure_sharpe(record: Backtest) -> float:
    """Return the Sharpe ratio a year of a book's net returns in excess of cash; 0 for a book that is nothing else."""
    sharpe = compute_sharpe(record.excess, record.periods_per_year)
    return 0.0 if np.isnan(sharpe) else sharpe


def measure_error(record: Backtest, reference: Backtest) -> float:
    """Return the standard error of the difference of two yearly Sharpe ratios on the same sessions.

    The mean of each is taken in units of its own volatility, so that what moves both falls away; that volatilities are
    estimated as well adds little at daily Sharpe ratios far below one (Jobson and Korkie, 1981).
    """
    one, other = (np.asarray(item.excess, dtype=np.float64) for item in (record, reference))
    scaled = [values / spread if (spread := values.std()) > 0 else np.zeros_like(values) for values in (one, other)]
    return float((scaled[0] - scaled[1]).std(ddof=1) * np.sqrt(record.periods_per_year / len(one)))


def measure_skill(net: FloatArray, reference: FloatArray) -> float:
    """Return the intercept of a regression of returns on those of a reference, over its standard error.

    Args:
        net: Returns by session in excess of cash, `[T]`.
        reference: The same of the reference, `[T]`.
    """
    centred = reference - reference.mean()
    squares = float(centred @ centred)
    slope = float(centred @ net) / squares if squares > 0 else 0.0
    residual = net - slope * reference
    alpha = float(residual.mean())
    n = len(net)
    variance = float(((residual - alpha) ** 2).sum()) / (n - 2)
    error = np.sqrt(variance * (1.0 / n + (reference.mean() ** 2 / squares if squares > 0 else 0.0)))
    # A book that follows the reference to within a hundredth of a basis point has no skill to speak of.
    return alpha / float(error) if np.sqrt(variance) > 1e-6 else 0.0
