"""One compiled call for a whole bar gives the bits of the calls that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.envs.settings import PortfolioSettings
from alfred.envs.simulator import PortfolioSimulator
from alfred.envs.tape import make_tape
from tests.conftest import make_random_market

SETTINGS = {
    "growth": {"cost_bps": 10, "slippage_bps": 5},
    "excess": {"reward": {"kind": "excess", "risk_aversion": 2.0}, "cash_rate_pct": 3.0},
    "penalised": {"reward": {"kind": "growth", "turnover_penalty": 0.5, "drawdown_penalty": 0.3}},
    "sharpe": {"reward": {"kind": "differential_sharpe"}},
    "next_close": {"execution": "next_close"},
    "close": {"execution": "close", "cash_rate_pct": 2.0},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("n_portfolios", [1, 7])
def test_same_bits_as_one_call_after_another(name: str, n_portfolios: int) -> None:
    settings = PortfolioSettings.model_validate(SETTINGS[name])
    market = make_random_market(120, 6, seed=3)
    tape = make_tape(market, None, execution=settings.execution, cash_rate_pct=settings.cash_rate_pct)
    fast, plain = (PortfolioSimulator(tape, settings, n_portfolios) for _ in range(2))
    assert fast._plain is not None
    plain._plain = None
    rng = np.random.default_rng(0)
    stop = np.minimum(np.arange(n_portfolios) + tape.n_bars // 2, tape.n_bars)
    for simulator in (fast, plain):
        simulator.reset(np.zeros(n_portfolios, dtype=np.int64), stop)
    for _ in range(tape.n_bars // 2 + 2):  # past the end of some, so that both ways take turns
        action = rng.uniform(-1, 1, (n_portfolios, len(tape.symbols) + 1))
        one, other = (simulator.step(simulator.decide(action)) for simulator in (fast, plain))
        for field, value in one._asdict().items():
            np.testing.assert_array_equal(value, getattr(other, field), err_msg=field)
        first, second = fast.get_state(), plain.get_state()
        for key in first:
            np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def test_ruin_ends_a_portfolio_in_both() -> None:
    market = make_random_market(120, 6, seed=3)
    tape = make_tape(market, None)
    tape.overnight[3, :-1] = 0.0
    settings = PortfolioSettings()
    fast, plain = (PortfolioSimulator(tape, settings, 2) for _ in range(2))
    plain._plain = None
    target = np.zeros((2, len(tape.symbols) + 1))
    target[0, 0] = target[1, -1] = 1.0
    for simulator in (fast, plain):
        simulator.reset(np.zeros(2, dtype=np.int64), np.full(2, tape.n_bars))
        results = [simulator.step(target) for _ in range(6)]
        assert [bool(result.terminated[0]) for result in results] == [False] * 3 + [True] * 3
        assert not any(result.terminated[1] for result in results)
        assert [result.any_done for result in results] == [False] * 3 + [True] * 3
    np.testing.assert_array_equal(fast.wealth, plain.wealth)
