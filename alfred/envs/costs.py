"""What trading and borrowing cost, as numbers: read off the settings once, for numpy and torch alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alfred.envs.settings import MarketTerms
from alfred.envs.tape import Tape
from alfred.typing import Float


@dataclass(frozen=True, eq=False)
class TradingCosts:
    """The terms of the market as fractions.

    Attributes:
        rates: Commission and half the spread for each unit traded, by asset with cash last (free), `[N+1]`.
        commission_share: Share of `rates` that is commission; the rest is spread.
        short_rate: Fee a session on the value of short positions.
        loan_rate: Fee a session on borrowed cash, on top of what cash earns.
    """

    rates: Float
    commission_share: float
    short_rate: float
    loan_rate: float

    @classmethod
    def from_settings(cls, settings: MarketTerms, tape: Tape) -> TradingCosts:
        """Return the costs of a tape: basis points and per cent a year become fractions a trade and a session."""
        rate_bps = settings.cost_bps + settings.slippage_bps
        rates = np.full(len(tape.symbols) + 1, rate_bps / 1e4)
        rates[-1] = 0.0
        return cls(
            rates=rates,
            commission_share=settings.cost_bps / rate_bps if rate_bps else 0.0,
            short_rate=settings.borrow_rate_pct / 100.0 / tape.periods_per_year,
            loan_rate=settings.margin_rate_pct / 100.0 / tape.periods_per_year,
        )


def choose_reference(reference: str, tape: Tape) -> Float:
    """Return the growth of what rewards are measured against, free of costs, `[E]`.

    Args:
        reference: `benchmark` or `equal_weight`.
        tape: Holds both.
    """
    return tape.benchmark_growth if reference == "benchmark" else tape.reference_growth
