"""Contract suites for code of your own: one line in a test proves that a class keeps every promise of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.lazy import import_on_use

if TYPE_CHECKING:
    from alfred.analysts.checks import check_analyst
    from alfred.checks.agents import check_agent
    from alfred.checks.policies import check_policy
    from alfred.checks.rewards import check_reward
    from alfred.checks.tables import check_feature, check_source
    from alfred.errors import ContractError

__all__ = [
    "ContractError",
    "check_agent",
    "check_analyst",
    "check_feature",
    "check_policy",
    "check_reward",
    "check_source",
]

__getattr__ = import_on_use(
    __name__,
    {
        "ContractError": "alfred.errors",
        "check_agent": "alfred.checks.agents",
        "check_analyst": "alfred.analysts.checks",
        "check_feature": "alfred.checks.tables",
        "check_policy": "alfred.checks.policies",
        "check_reward": "alfred.checks.rewards",
        "check_source": "alfred.checks.tables",
    },
)
