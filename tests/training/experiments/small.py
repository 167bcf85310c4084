"""A planted market in which what rose goes on to rise, and experiments that walk it in a second."""

from __future__ import annotations

from functools import lru_cache

from alfred.analysts.settings import CalibrationSettings
from alfred.analysts.tabular.settings import TreesSettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.synthetic import PlantedModel, make_planted_market
from alfred.training.experiments.phases import PhasePlan, plan_phase
from alfred.training.experiments.settings import PhaseSettings, RegistrySettings, StrategySettings
from alfred.training.experiments.walk import forecast_shared
from alfred.training.progress import Silence

TREES = TreesSettings(
    context_length=41, features="both", n_rounds=30, learning_rate=0.2, calibration=CalibrationSettings(kind="none")
)
STRATEGY = StrategySettings(trees=TREES, top_n=3)
REGISTRY = RegistrySettings(
    holdout_days=100, max_train_days=500, quick=PhaseSettings(test_days=250, refit_every_days=126)
)


@lru_cache
def make_market(seed: int = 1, ic: float = 0.3, n_days: int = 1000) -> Market:
    """Return twelve assets whose expected returns last for weeks."""
    return make_planted_market(
        n_days=n_days, seed=seed, model=PlantedModel(ic=ic, autocorrelation=0.98, n_assets=12)
    ).market


@lru_cache
def make_plan() -> PhasePlan:
    return plan_phase(make_market(), REGISTRY, "quick")


def forecast(plan: PhasePlan) -> Signals:
    return forecast_shared(plan, [TREES], cache=None, n_jobs=1, reporter=Silence())[TREES]


@lru_cache
def forecast_once() -> Signals:
    return forecast(make_plan())
