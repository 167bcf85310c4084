"""alfred: analysts forecast, an agent allocates, the report says honestly whether that beat holding SPY."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alfred.lazy import import_on_use
from alfred.version import __version__

if TYPE_CHECKING:
    from alfred.config import Experiment
    from alfred.data.market import Market
    from alfred.data.signals import Signals
    from alfred.envs.settings import PortfolioSettings
    from alfred.notebook.backtest import Backtest, backtest
    from alfred.notebook.jobs import make_env, report, run
    from alfred.notebook.tables import load_market, make_signals

__all__ = [
    "Backtest",
    "Experiment",
    "Market",
    "PortfolioSettings",
    "Signals",
    "__version__",
    "backtest",
    "load_market",
    "make_env",
    "make_signals",
    "report",
    "run",
]

_find = import_on_use(
    __name__,
    {
        "Backtest": "alfred.notebook.backtest",
        "Experiment": "alfred.config",
        "Market": "alfred.data.market",
        "PortfolioSettings": "alfred.envs.settings",
        "Signals": "alfred.data.signals",
        "backtest": "alfred.notebook.backtest",
        "load_market": "alfred.notebook.tables",
        "make_env": "alfred.notebook.jobs",
        "make_signals": "alfred.notebook.tables",
        "report": "alfred.notebook.jobs",
        "run": "alfred.notebook.jobs",
    },
)


def __getattr__(name: str) -> Any:
    found = _find(name)
    # Whoever uses one of these may go on with gymnasium.make, which knows environments by their registration alone.
    import alfred.envs.gym  # noqa: F401

    return found
