"""Agents searched on folds before the test, and nothing of what comes later."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from alfred.config import BlendSettings, Experiment, load_experiment
from alfred.data.market import Market
from alfred.data.perturbation import scramble_after
from alfred.data.signals import Signals
from alfred.data.sources import load_market
from alfred.errors import AlfredError, ConfigError, DataError
from alfred.training import pipeline
from alfred.training.prepared import cut_folds
from alfred.training.progress import Silence
from alfred.training.provenance.trials import TrialLog
from alfred.training.search.agents import objective
from alfred.training.search.agents.objective import ENVIRONMENT_SPACE, Limits, choose_spaces
from alfred.training.search.agents.tuning import AgentRequest, AgentsTuned, find_feasible, tune_agents
from tests.training.small import DIRECT, make_small, write_prices

SPLITS = {"n_folds": 2, "min_train_days": 60, "validation_days": 30, "embargo_days": 0, "test_start": "2011-10-03"}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return make_small(write_prices(tmp_path, first=0), splits=SPLITS, training={"n_seeds": 1, "n_jobs": 1})


def tune(folder: Path, market: Market, experiment: Experiment, **changes: object) -> AgentsTuned:
    told: dict[str, object] = {
        "name": "agents",
        "kinds": ("direct",),
        "n_trials": 3,
        "mode": "tpe",
        "n_folds": 2,
        "limits": Limits(),
    }
    return tune_agents(
        market,
        experiment,
        AgentRequest(**(told | changes)),  # type: ignore[arg-type]
        folder / "search",
        root=folder,
        storage=str(folder / "search/journal.log"),
        n_workers=1,
        reporter=Silence(),
    )


def test_the_best_runs_unchanged_and_pays_for_the_search(tmp_path: Path, experiment: Experiment) -> None:
    market = load_market(experiment.data)
    found = tune(tmp_path, market, experiment)
    assert found.n_trials == 3 and len(find_feasible(found.study)) >= 1
    assert found.best.values[0] == max(t.values[0] for t in found.study.trials if t.state == TrialState.COMPLETE)
    again = load_experiment(found.path)
    assert again.agents == (found.chosen.agent,) and again.env == found.chosen.environment
    assert again.agents[0].total_steps == DIRECT["total_steps"]
    assert again.n_trials == 3
    first = cut_folds(market, experiment)[0].test[0]
    # Each finished trial is one of the log, on sessions before the test.
    finished = [t for t in found.study.trials if t.state == TrialState.COMPLETE and "duplicate_of" not in t.user_attrs]
    logged = TrialLog(tmp_path).read()
    assert len(logged) == len(finished)
    assert all(trial.end < str(first.date()) for trial in logged)
    _, _, rows = pipeline.run_all(again, tmp_path, reporter=Silence())
    assert rows[0].n_trials == 4


def test_a_trial_is_the_mean_over_folds_of_what_seeds_together_earn_beyond_equal_weight(
    tmp_path: Path, experiment: Experiment
) -> None:
    found = tune(tmp_path, load_market(experiment.data), experiment, n_trials=1)
    (trial,) = found.study.trials
    assert trial.values[0] == pytest.approx(np.mean(list(trial.intermediate_values.values())))
    # The anchor is the configuration as it was given. It kept its start, and the start is equal weight but for cash.
    assert trial.params["direct.temperature"] == 3.0 and trial.params["env.reward.risk_aversion"] == 10.0
    assert trial.user_attrs["untrained_share"] == 1.0
    assert abs(trial.values[0]) < 0.1


def test_what_comes_after_the_search_changes_nothing(tmp_path: Path, experiment: Experiment) -> None:
    market = load_market(experiment.data)
    first = cut_folds(market, experiment)[0].test[0]
    last = market.dates[int(market.dates.get_loc(first)) - 1]
    values = []
    for place, version in (("true", market), ("other", scramble_after(market, last, seed=5))):
        found = tune(tmp_path / place, version, experiment, n_trials=2)
        values.append((found.study.study_name, [t.values for t in found.study.trials]))
    assert values[0] == values[1]


def test_agents_are_searched_on_the_signals_that_a_run_shows_them(
    tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []
    train = objective.train_agent

    def spy(market: Market, signals: Signals, *told: object) -> object:
        seen.append(tuple(signals.names))
        return train(market, signals, *told)

    monkeypatch.setattr(objective, "train_agent", spy)
    blended = experiment.model_copy(update={"blend": BlendSettings(min_days=40), "observe": ("blend",)})
    tune(tmp_path, load_market(experiment.data), blended, n_trials=1)
    assert seen and all(name.startswith("blend.") for names in seen for name in names)


def test_limits_bind_the_best(tmp_path: Path, experiment: Experiment) -> None:
    market = load_market(experiment.data)
    with pytest.raises(AlfredError, match="no trial keeps to the limits"):
        tune(tmp_path, market, experiment, n_trials=1, limits=Limits(turnover=0.0))


def test_the_same_call_goes_on(tmp_path: Path, experiment: Experiment) -> None:
    market = load_market(experiment.data)
    one = [t.values for t in tune(tmp_path, market, experiment, n_trials=2).study.trials]
    assert len(one) == 2
    two = tune(tmp_path, market, experiment, n_trials=3)
    assert [t.values for t in two.study.trials[:2]] == one
    assert two.overfitting is None or 0 <= two.overfitting <= 1


def test_a_history_that_is_too_short_is_refused(tmp_path: Path, experiment: Experiment) -> None:
    with pytest.raises(DataError, match="too short for 400 fold"):
        tune(tmp_path, load_market(experiment.data), experiment, n_folds=400)


def test_without_a_test_start_half_of_the_sessions_are_searched_and_the_best_is_judged_on_the_rest(
    tmp_path: Path, experiment: Experiment
) -> None:
    """The default of a run tests from the first session that it can: nothing would be left to search on."""
    market = load_market(experiment.data)
    open_ended = experiment.model_copy(
        update={"splits": experiment.splits.model_copy(update={"test_start": None, "min_train_days": 40})}
    )
    found = tune(tmp_path, market, open_ended, n_trials=1)
    known = market.dates[experiment.forecast.min_train_days :]
    judged = load_experiment(found.path).splits.test_start
    assert judged == known[len(known) // 2].date()
    assert all(trial.end < str(judged) for trial in TrialLog(tmp_path).read())


def test_an_unknown_agent_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'direct'"):
        choose_spaces(["dirct"])


def test_costs_are_no_parameter() -> None:
    terms = {"cost_bps", "slippage_bps", "impact", "execution", "cash_rate_pct"}
    assert not {key.split(".")[0] for key in ENVIRONMENT_SPACE} & terms
    assert dataclasses.is_dataclass(Limits)
