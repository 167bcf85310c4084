"""The contract of an agent that learns."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from alfred.agents.base import Agent, NetworkPolicy, TrainingTask
from alfred.checks.policies import check_policy
from alfred.data.synthetic import make_noise_market
from alfred.envs.observations import observe
from alfred.envs.policy import Policy
from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import make_tape
from alfred.errors import require_promise
from alfred.fresh import call_afresh
from alfred.typing import Observation

_ENVIRONMENT = PortfolioSettings(cost_bps=5.0, slippage_bps=0.0, execution="next_close")
_SETTINGS, _WEIGHTS = "settings.json", "weights.npy"
_EXACT = 1e-6  # matrix products of another number of threads round differently


class _KilledError(Exception):
    """Stands for the end of a process in the middle of a training."""


def check_agent(make: Callable[[], Agent]) -> None:
    """Check an agent against the contract; give it a budget that is over in seconds.

    Training must return a policy that keeps the contract of a policy; tell its progress; give the same policy from the
    same seed and another from another; survive saving and loading bit for bit; and, when it is killed and started
    again, end where it would have ended. The last two hold in a fresh process as well, where nothing is left of what a
    class or a module kept. Its class must be defined at the top of a module, where other processes find it.

    Args:
        make: Builds a fresh agent.

    Raises:
        ContractError: A promise is broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        told: list[int] = []
        policy = make().train(_make_task(root / "first", progress=told.append))
        require_promise(bool(told) and told == sorted(told), "progress must be told, and never fall")
        seen = _look()
        expected = policy.predict(seen)
        again = make().train(_make_task(root / "second"))
        require_promise(np.array_equal(expected, again.predict(seen)), "the same seed must give the same policy")
        other = make().train(_make_task(root / "third", seed=7))
        require_promise(not np.array_equal(expected, other.predict(seen)), "another seed must give another policy")
        policy.save(root / "saved")
        loaded = NetworkPolicy.load(root / "saved")
        require_promise(np.array_equal(expected, loaded.predict(seen)), "a policy must survive saving and loading")
        agent = make()
        _train_killed(agent, root / "killed", max(told))
        _train_killed(make(), root / "killed again", max(told))
        require_promise(
            np.array_equal(expected, make().train(_make_task(root / "killed")).predict(seen)),
            "a training that was killed must end as it would have",
        )
        text = agent.settings.model_dump_json()
        (root / _SETTINGS).write_text(text, encoding="utf-8")
        call_afresh("alfred.checks.agents:train_afresh", type(agent), root)
        there = np.load(root / _WEIGHTS, allow_pickle=False)
        require_promise(
            bool(np.allclose(expected, there[0], atol=_EXACT)),
            "a saved policy must decide alike in a fresh process: what it learnt belongs into its network, not into a "
            "class or a module",
        )
        require_promise(
            bool(np.allclose(expected, there[1], atol=_EXACT)),
            "a training that was killed must end as it would have when it goes on in a fresh process",
        )
    world = make_noise_market(n_assets=5, n_days=160, n_signals=5, seed=1)
    check_policy(lambda: loaded, world.market, world.signals, _ENVIRONMENT)


def train_afresh(owner: type[Agent], folder: str) -> None:
    """Load the saved policy, and go on with the training that was killed; called in the fresh process."""
    root, seen = Path(folder), _look()
    loaded = NetworkPolicy.load(root / "saved").predict(seen)
    settings = owner.settings_class.model_validate_json((root / _SETTINGS).read_text(encoding="utf-8"))
    resumed = owner(settings).train(_make_task(root / "killed again")).predict(seen)
    np.save(root / _WEIGHTS, np.stack([loaded, resumed]))


def _train_killed(agent: Agent, folder: Path, total: int) -> None:
    """Train and be killed halfway, unless the training is over before."""

    def kill(done: int) -> None:
        if done >= total // 2:
            raise _KilledError

    with contextlib.suppress(_KilledError):
        agent.train(_make_task(folder, progress=kill))


def _make_task(folder: Path, *, seed: int = 0, progress: Callable[[int], None] = lambda _done: None) -> TrainingTask:
    world = make_noise_market(n_assets=5, n_days=300, n_signals=5, seed=1)
    tape = make_tape(world.market, world.signals, execution=_ENVIRONMENT.execution)
    return TrainingTask(tape, _ENVIRONMENT, seed, folder, _score, progress)


def _score(_policy: Policy, steps: int) -> float:
    return float(steps)  # the last network is kept


def _look() -> Observation:
    """Return observations of three portfolios somewhere in the market of the tasks."""
    world = make_noise_market(n_assets=5, n_days=300, n_signals=5, seed=1)
    tape = make_tape(world.market, world.signals, execution=_ENVIRONMENT.execution)
    simulator = PortfolioSimulator(tape, _ENVIRONMENT, 3)
    simulator.reset(np.array([5, 50, 100]), np.full(3, tape.n_bars))
    return observe(simulator)
