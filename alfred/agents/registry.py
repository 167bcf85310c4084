"""Which agents that learn exist, by name; a class is imported only when it is asked for."""

from __future__ import annotations

from typing import cast

from alfred.agents.base import Agent, AgentSettings
from alfred.settings import import_by_kind

# kind -> "module:class". To add an agent, write its module and add its line here.
AGENTS: dict[str, str] = {
    "direct": "alfred.agents.direct:DirectAgent",
    "ppo": "alfred.agents.sb3.ppo:PpoAgent",
    "a2c": "alfred.agents.sb3.ppo:A2cAgent",
    "recurrent_ppo": "alfred.agents.sb3.recurrent_ppo:RecurrentPpoAgent",
    "sac": "alfred.agents.sb3.off_policy:SacAgent",
    "td3": "alfred.agents.sb3.off_policy:Td3Agent",
    "ddpg": "alfred.agents.sb3.off_policy:DdpgAgent",
    "tqc": "alfred.agents.sb3.off_policy:TqcAgent",
}


def load_agent_class(kind: object) -> type[Agent]:
    """Return the class of an agent.

    Raises:
        ConfigError: No agent has this name.
    """
    return cast("type[Agent]", import_by_kind(kind, AGENTS, "agent"))


def make_agent(settings: AgentSettings) -> Agent:
    """Build an agent from its settings, untrained."""
    return load_agent_class(settings.kind)(settings)
