from __future__ import annotations

import numpy as np
import pytest
from skfolio.measures import expected_max_sharpe_ratio, probabilistic_sharpe_ratio

from alfred.errors import DataError
from alfred.evaluation.results import compute_results
from alfred.evaluation.settings import IntervalSettings
from alfred.evaluation.statistics import deflation
from alfred.evaluation.statistics.deflation import Trials, compute_probabilistic_sharpe
from tests.evaluation.conftest import draw_returns, make_backtest

QUICK = IntervalSettings(n_replicates=200)


def test_the_spread_is_that_of_the_log_when_it_can_carry_it() -> None:
    sharpes = [0.2, 1.4, 0.9, -0.3]
    spread, source = Trials.declare(4, sharpes).assume_spread(0.5)
    assert spread == pytest.approx(np.std(sharpes, ddof=1)) and source == "logged trials"
    assert Trials.declare(2, sharpes).count == 4 and Trials.declare(9, sharpes).count == 9


@pytest.mark.parametrize("logged", [None, [], [0.7], [0.7, float("nan")], [0.7, 0.7, 0.7]])
def test_without_a_log_trials_spread_as_luck_does(logged: list[float] | None) -> None:
    assert Trials.declare(30, logged).assume_spread(0.5) == (0.5, "no skill")


def test_a_few_trials_that_agree_do_not_wipe_the_deflation_out() -> None:
    close = [0.70, 0.71]
    spread, source = Trials.declare(2, close).assume_spread(0.5)
    assert spread == pytest.approx(0.5 * np.sqrt(5 / 6)) and source == "floor"
    # Trials that nobody logged count as trials without skill.
    assert Trials.declare(100, close).assume_spread(0.5)[0] > 0.99 * 0.5
    many = Trials.declare(50, list(np.linspace(0.70, 0.71, 50))).assume_spread(0.5)[0]
    assert many == pytest.approx(0.5 * np.sqrt(5 / 54))


def test_the_best_of_one_is_nothing_and_no_trial_is_refused() -> None:
    assert Trials().expect_best(0.5) == 0.0
    assert 0 < Trials(2).expect_best(0.5) < Trials(50).expect_best(0.5)
    with pytest.raises(DataError, match="n_trials is 0"):
        Trials.declare(0)
    with pytest.raises(DataError, match="n_trials is 0"):
        compute_results([make_backtest([0.01, 0.02, -0.01])], n_trials=0, intervals=QUICK)


def test_unskilled_spread_follows_the_year() -> None:
    assert deflation.compute_unskilled_spread(520, 52) == pytest.approx(np.sqrt(1 / 10))
    assert deflation.compute_expected_max_sharpe(20, 520, 52) == pytest.approx(
        deflation.compute_expected_max_sharpe(20, 2520, 252)
    )


def test_results_say_how_many_trials_and_which_spread_were_assumed() -> None:
    returns = draw_returns(1000, [1.9, 0.3], 0.9, seed=1)
    pair = [make_backtest(series, name) for name, series in zip("ab", returns.T, strict=True)]
    logged = [0.1, 1.9, -0.6, 0.8]
    row = compute_results(pair, benchmark="b", n_trials=6, trial_sharpes=logged, intervals=QUICK)[0]
    flat = row.to_json()
    assert flat["n_trials"] == 6 and flat["spread_source"] == "logged trials"
    assert flat["trials_spread"] == flat["benchmark_trials_spread"] == pytest.approx(np.std(logged, ddof=1))
    assert "6 trials (Sharpe ratios spread by 1.07, as logged)" in row.versus_benchmark.write_trials()
    # A wider spread deflates more; so does not knowing it when the log is narrow.
    narrow = compute_results(pair, benchmark="b", n_trials=6, trial_sharpes=[0.3, 0.5, 0.4, 0.45], intervals=QUICK)[0]
    unknown = compute_results(pair, benchmark="b", n_trials=6, intervals=QUICK)[0]
    assert row.versus_benchmark.deflated < unknown.versus_benchmark.deflated < narrow.versus_benchmark.deflated
    assert row.deflated_sharpe < unknown.deflated_sharpe < narrow.deflated_sharpe
    assert unknown.spread_source == "no skill" and narrow.spread_source == "floor"
    assert unknown.trials_spread == pytest.approx(np.sqrt(252 / 1000))


def test_sharpe_probabilities_are_those_of_skfolio() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        returns = rng.standard_t(4, int(rng.integers(3, 3000))) * 0.01 + rng.normal(0, 1e-3)
        reference = float(rng.normal())
        own = compute_probabilistic_sharpe(returns, reference)
        assert own == float(probabilistic_sharpe_ratio(returns, reference / np.sqrt(252)))
    for count in (2, 3, 10, 4567):
        expected = float(expected_max_sharpe_ratio(count, 0.3))
        assert Trials.declare(count).expect_best(0.3) == pytest.approx(expected, rel=1e-14)
