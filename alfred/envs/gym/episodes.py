"""Episodes: which part of the data a portfolio is walked through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.envs.settings import PortfolioSettings
from alfred.envs.tape import Tape, make_tape
from alfred.errors import ConfigError
from alfred.keys.mistakes import explain_briefly


def read_settings(settings: PortfolioSettings | Mapping[str, Any] | None) -> PortfolioSettings:
    """Return settings as they are, or of a mapping as a notebook writes it.

    Raises:
        ConfigError: The mapping has an unknown key or a wrong value.
    """
    if isinstance(settings, PortfolioSettings):
        return settings
    try:
        return PortfolioSettings.model_validate(settings or {})
    except ValidationError as error:
        raise ConfigError(f"settings: {explain_briefly(error)}") from error


def prepare_tape(
    market: Market | None,
    signals: Signals | None,
    settings: PortfolioSettings,
    *,
    start: pd.Timestamp | str | None = None,
    end: pd.Timestamp | str | None = None,
    holdable: Sequence[str] | None = None,
) -> Tape:
    """Lay out the tape that the settings ask for; see `make_tape`.

    Raises:
        ConfigError: There is not a market.
    """
    if market is None:
        raise ConfigError("a portfolio environment needs market=... (or tape=...)")
    if not isinstance(market, Market):
        raise ConfigError(f"market is a {type(market).__name__}; make a market of it with alfred.load_market(...)")
    return make_tape(
        market,
        signals,
        start=start,
        end=end,
        execution=settings.execution,
        lookback=settings.lookback,
        cash_rate_pct=settings.cash_rate_pct,
        impact=settings.impact,
        delisting_after=settings.delisting_after,
        delisting_payout=settings.delisting_payout_pct / 100.0,
        holdable=holdable,
    )


def draw_windows(
    tape: Tape, settings: PortfolioSettings, count: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw the first bar and the bar after the last of `count` episodes.

    Raises:
        ConfigError: An episode is longer than every range that it may lie in.
    """
    if settings.episode_length is None:
        return np.zeros(count, dtype=np.int64), np.full(count, tape.n_bars)
    length = settings.episode_length * settings.rebalance_every
    starts = tape.find_starts(length)
    if not len(starts):
        raise ConfigError(
            f"episode_length {settings.episode_length} x rebalance_every {settings.rebalance_every} needs {length} "
            f"bars, the range has {tape.longest_span}; shorten the episode or widen the range"
        )
    start = starts[rng.integers(0, len(starts), size=count)]
    return start, start + length
