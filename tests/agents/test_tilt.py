"""The tilt: what its network holds, what it climbs, and that shrinkage shrinks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from alfred.agents.base import NetworkPolicy, describe_network
from alfred.agents.networks import TiltNetwork, make_network
from alfred.agents.registry import make_agent
from alfred.agents.settings import TiltSettings
from alfred.agents.tilt import _Training, compute_cash_growth, cut_windows, measure_spread
from alfred.data.synthetic import make_planted_market
from alfred.envs.settings import ActionSettings, PortfolioSettings
from alfred.envs.tape import make_tape
from alfred.errors import ConfigError, DataError
from tests.agents.tasks import ENVIRONMENT, make_observation, make_task, make_tiny

SIMPLEX = ENVIRONMENT.model_copy(update={"action": ActionSettings(mode="simplex")})


def make_tilt(
    folder: Path, slopes: list[float], pace: float, environment: PortfolioSettings = ENVIRONMENT
) -> TiltNetwork:
    tape = make_task(folder).tape
    network = cast("TiltNetwork", make_network(describe_network(tape, make_tiny("tilt"), environment.action)))
    with torch.no_grad():
        network.slopes.copy_(torch.tensor(slopes))
        network.pace.fill_(pace)
    return network.eval()


def start_training(folder: Path, **changes: object) -> _Training:
    settings = make_tiny("tilt", **changes)
    assert isinstance(settings, TiltSettings)
    return _Training(settings, make_task(folder))


@pytest.mark.parametrize("environment", [ENVIRONMENT, SIMPLEX], ids=["softmax", "simplex"])
def test_it_holds_a_softmax_of_its_slopes_approached_at_its_pace(
    environment: PortfolioSettings, tmp_path: Path
) -> None:
    slopes, pace = np.array([0.5, -0.3, 0.0, 0.2, 0.1]), -0.4
    network = make_tilt(tmp_path, slopes.tolist(), pace, environment)
    seen = make_observation(11)
    seen["tradable"][:, 4] = 0.0
    found = NetworkPolicy(network, environment.action, name="tilt").predict(seen)
    for row in range(3):
        traded = seen["tradable"][row] > 0
        signals = seen["signals"][row].astype(float)
        logits = (signals - signals[traded].mean(axis=0)) @ slopes
        aim = np.where(traded, np.exp(logits), 0.0)
        aim /= aim.sum()
        kept = seen["weights"][row, :-1] * (1 - 1 / (1 + np.exp(-pace)))
        expected = kept + (1 - kept.sum()) * aim  # cash goes into the target at once
        np.testing.assert_allclose(found[row, :-1], expected, atol=1e-5)
        assert found[row, -1] < 1e-5


def test_untrained_it_is_equal_weights_to_the_last_bit(tmp_path: Path) -> None:
    tape, seen = make_task(tmp_path).tape, make_observation(11)
    starts = [make_agent(make_tiny(kind)).start(tape, ENVIRONMENT).predict(seen) for kind in ("tilt", "direct")]
    np.testing.assert_array_equal(*starts)


def test_windows_follow_each_other_within_their_ranges(tmp_path: Path) -> None:
    tape = replace(make_task(tmp_path).tape, spans=((3, 60), (100, 131)))
    starts, before, length = cut_windows(tape, window=5, every=2)
    assert length == 5
    assert starts.tolist() == [10, 20, 30, 40, 50, 101, 111, 121]  # ten bars each, the last ends where its range does
    assert before.tolist() == [-1, 0, 1, 2, 3, -1, 5, 6]
    assert cut_windows(tape, window=1_000, every=2)[2] == 28
    with pytest.raises(DataError, match="no range to learn from is as long as one decision"):
        cut_windows(replace(tape, spans=((3, 8),)), window=5, every=10)


def test_a_window_begins_with_what_the_one_before_it_held(tmp_path: Path) -> None:
    training = start_training(tmp_path)
    training.advance()
    with torch.no_grad():
        ended = training._walk().ended
    follows = training.before >= 0
    before = training.before[follows]
    assert follows.sum() > 3
    # The last pass of the hand-over was made from the starts of the pass before: what is left is their forgetting.
    torch.testing.assert_close(training.starts.drifted[follows], ended.drifted[before], atol=2e-4, rtol=0)


def test_the_gradient_is_that_of_the_sharpe_ratio_of_the_ledger(tmp_path: Path) -> None:
    training = start_training(tmp_path)
    slopes = training.learning.slopes
    with torch.no_grad():
        slopes.copy_(torch.linspace(-0.4, 0.5, len(slopes)))
        training.learning.pace.fill_(0.3)
    training.learning.train()
    training._judge(training._walk()).backward()  # type: ignore[no-untyped-call]
    assert slopes.grad is not None
    returns = training._walk().returns.detach().numpy()
    weights = training.weights.numpy()
    mean = (returns.mean(axis=0) * weights).sum()
    deviation = np.sqrt((((returns - mean) ** 2).mean(axis=0) * weights).sum())
    expected = mean / deviation * float(training.volatility) * 252
    assert float(training._judge(training._walk()).detach()) == pytest.approx(expected, rel=1e-12)
    for place in range(len(slopes)):
        around = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                slopes[place] += step
                around.append(float(training._judge(training._walk())))
                slopes[place] -= step
        assert float(slopes.grad[place]) == pytest.approx((around[0] - around[1]) / 2e-5, rel=1e-3, abs=1e-7)


def test_what_cash_earned_is_taken_off(tmp_path: Path) -> None:
    tape = make_task(tmp_path).tape
    overnight = tape.overnight.copy()
    overnight[:, -1] = 1.0 + np.arange(tape.n_bars) * 1e-5
    growth = compute_cash_growth(replace(tape, overnight=overnight), every=3)
    assert growth[7] == pytest.approx(overnight[7, -1] * overnight[8, -1] * overnight[9, -1], rel=1e-12)
    assert growth[-1] == pytest.approx(overnight[-1, -1], rel=1e-12)


def test_units_are_the_spread_among_what_trades(tmp_path: Path) -> None:
    tape = make_task(tmp_path).tape
    signals, tradable = tape.signals.copy(), tape.tradable_then.copy()
    signals[..., 2] = 5.0  # tells nobody apart
    tradable[:50, 3] = 0.0
    tape = replace(tape, signals=signals, tradable_then=tradable, spans=((10, 90), (120, 200)))
    apart = []
    for bar in (*range(10, 90), *range(120, 200)):
        traded = tradable[bar] > 0
        apart.append(signals[bar, traded, 0] - signals[bar, traded, 0].mean())
    spread = measure_spread(tape)
    assert spread[0] == pytest.approx(float(np.sqrt(np.mean(np.concatenate(apart).astype(float) ** 2))), rel=1e-5)
    assert spread[2] == 1.0


@pytest.mark.parametrize("objective", ["sharpe", "reward"])
def test_a_planted_signal_gets_the_largest_slope_and_a_penalty_shrinks_it(objective: str, tmp_path: Path) -> None:
    world = make_planted_market(ic=0.1, n_days=2_000, seed=3, cost_bps=5.0)
    tape = make_tape(world.market, world.signals, execution="next_close", holdable=world.market.universe)
    seen: list[np.ndarray] = []

    def watch(policy: object, steps: int) -> float:
        assert isinstance(policy, NetworkPolicy)
        seen.append(cast("TiltNetwork", policy.network).slopes.detach().numpy().copy())
        return float(steps)

    task = replace(make_task(tmp_path, validate=watch), tape=tape)
    agent = make_agent(TiltSettings(objective=objective, total_steps=3))  # type: ignore[arg-type]
    agent.train(task)
    assert not seen[0].any()  # the start
    sizes = [float(np.abs(slopes).sum()) for slopes in seen[1:]]
    assert sizes == sorted(sizes) and sizes[0] > 0.0
    assert seen[-1][0] > 2 * np.abs(seen[-1][1:]).max()  # the signal is the first, distractors follow


def test_selling_short_is_refused(tmp_path: Path) -> None:
    environment = ENVIRONMENT.model_copy(update={"action": ActionSettings(mode="long_short")})
    with pytest.raises(ConfigError, match=r"agent 'tilt' tilts equal weights and sells nothing short: set env\.action"):
        make_agent(make_tiny("tilt")).train(make_task(tmp_path, environment=environment))


@pytest.mark.parametrize("kind", ["direct", "ppo", "sac"])
def test_other_agents_learn_a_tilt_too(kind: str, tmp_path: Path) -> None:
    policy = make_agent(make_tiny(kind, network="tilt")).train(make_task(tmp_path))
    assert isinstance(policy.network, TiltNetwork)
    assert bool(policy.network.slopes.detach().any())
    policy.save(tmp_path)
    seen = make_observation(11)
    np.testing.assert_array_equal(NetworkPolicy.load(tmp_path).predict(seen), policy.predict(seen))
