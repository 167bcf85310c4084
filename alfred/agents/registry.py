"""Which agents that learn exist, by name; a class is imported only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alfred.registry import Registry

if TYPE_CHECKING:
    from alfred.agents.base import Agent
    from alfred.agents.settings import AgentSettings

# To add an agent, write its module and add its line to both tables.
AGENTS: Registry[Agent] = Registry(
    "agent",
    "alfred.agents",
    {
        "direct": "alfred.agents.direct:DirectAgent",
        "ppo": "alfred.agents.sb3.ppo:PpoAgent",
        "a2c": "alfred.agents.sb3.ppo:A2cAgent",
        "recurrent_ppo": "alfred.agents.sb3.recurrent_ppo:RecurrentPpoAgent",
        "sac": "alfred.agents.sb3.off_policy:SacAgent",
        "td3": "alfred.agents.sb3.off_policy:Td3Agent",
        "ddpg": "alfred.agents.sb3.off_policy:DdpgAgent",
        "tqc": "alfred.agents.sb3.off_policy:TqcAgent",
    },
    {
        "direct": "alfred.agents.settings:DirectSettings",
        "ppo": "alfred.agents.settings:PpoSettings",
        "a2c": "alfred.agents.settings:A2cSettings",
        "recurrent_ppo": "alfred.agents.settings:RecurrentPpoSettings",
        "sac": "alfred.agents.settings:SacSettings",
        "td3": "alfred.agents.settings:Td3Settings",
        "ddpg": "alfred.agents.settings:DdpgSettings",
        "tqc": "alfred.agents.settings:TqcSettings",
    },
    configured=True,
)


def make_agent(settings: AgentSettings) -> Agent:
    """Build an agent from its settings, untrained."""
    return AGENTS.load(settings.kind)(settings)
