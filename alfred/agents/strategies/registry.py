"""Which baselines and rules exist, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alfred.agents.strategies.prices import BaselineSettings, MixSettings
from alfred.envs.policy import BaselinePolicy, Policy
from alfred.errors import ConfigError
from alfred.registry import Registry

if TYPE_CHECKING:  # a configuration is checked without loading tables of prices
    from alfred.data.market import Market

# To add a baseline, write its settings with a `build` and add a line here.
BASELINES: Registry[BaselineSettings] = Registry(
    "baseline",
    "alfred.baselines",
    {
        "mix": "alfred.agents.strategies.prices:MixSettings",
        "inverse_volatility": "alfred.agents.strategies.prices:InverseVolatilitySettings",
        "momentum": "alfred.agents.strategies.prices:MomentumSettings",
        "trend": "alfred.agents.strategies.prices:TrendSettings",
        "minimum_variance": "alfred.agents.strategies.allocation:OptimiserSettings",
        "maximum_sharpe": "alfred.agents.strategies.allocation:OptimiserSettings",
        "hierarchical_risk_parity": "alfred.agents.strategies.allocation:OptimiserSettings",
        "risk_parity": "alfred.agents.strategies.allocation:OptimiserSettings",
        "eg": "alfred.agents.strategies.online.algorithms:EgSettings",
        "pamr": "alfred.agents.strategies.online.algorithms:PamrSettings",
        "olmar": "alfred.agents.strategies.online.algorithms:OlmarSettings",
        "universal": "alfred.agents.strategies.online.algorithms:UniversalSettings",
        "direction": "alfred.agents.strategies.signals:DirectionSettings",
        "nuanced": "alfred.agents.strategies.signals:NuancedSettings",
        "magnitude": "alfred.agents.strategies.signals:MagnitudeSettings",
        "top": "alfred.agents.strategies.signals:TopSettings",
        "kelly": "alfred.agents.strategies.signals:KellySettings",
    },
    {},
    configured=True,
)

# What an experiment compares with beside the two that every report judges by; see `make_baselines`.
DEFAULT_BASELINES: tuple[dict[str, object], ...] = (
    {"kind": "mix", "hold": True},
    {"kind": "inverse_volatility"},
    {"kind": "momentum"},
    {"kind": "mix", "benchmark_weight": 0.6, "name": "60/40 benchmark and cash"},
    {"kind": "hierarchical_risk_parity"},
)


def make_baselines(settings: Sequence[BaselineSettings], market: Market, signal_names: Sequence[str]) -> list[Policy]:
    """Build the baselines of a report: the benchmark held and equal weights, then those asked for.

    Args:
        settings: What is asked for.
        market: Names the symbols.
        signal_names: Signals in the observations, `[K]`.

    Raises:
        ConfigError: A symbol or a signal is unknown, or two baselines have one name.
    """
    always = (MixSettings(benchmark_weight=1.0, hold=True), MixSettings())
    policies: list[Policy] = []
    for item in (*always, *settings):
        policy: BaselinePolicy = item.build(market, signal_names)
        policy.under_mandate = item.under_mandate
        policies.append(policy)
    names = [policy.name for policy in policies]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two baselines are called '{twice[0]}'; give one of them another name")
    return policies
