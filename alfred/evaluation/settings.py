"""How the intervals of a report are made."""

from __future__ import annotations

from pydantic import Field, model_validator

from alfred.settings import Settings


class IntervalSettings(Settings):
    """How the intervals of a report are made.

    The intervals of one strategy (Sharpe ratio, growth, volatility, drawdown) are percentiles of a stationary
    bootstrap. On short histories they are a little narrow, as those of every such bootstrap: `docs/statistics.md` shows
    how often they cover the truth. The intervals of Sharpe differences, on which verdicts rest, are studentised (see
    `alfred.evaluation.statistics.sharpe_bootstrap`).

    Attributes:
        level: Coverage that an interval claims, 0.95 at least: verdicts rest on the same intervals, and a lower level
            would call luck a gain.
        n_replicates: Bootstrap replicates R; enough to reach the tails of the level.
        mean_block_days: Mean length of a resampled block, in sessions; left out, it is read off the series (Politis and
            White, 2004).
        seed: Seed of the resampling.

    Raises:
        ValueError: The replicates are too few for the level.
    """

    level: float = Field(default=0.95, ge=0.95, lt=1.0)
    n_replicates: int = Field(default=2000, ge=100, le=100_000)
    mean_block_days: float | None = Field(default=None, ge=1.0)
    seed: int = 0

    @model_validator(mode="after")
    def _reach_the_tails(self) -> IntervalSettings:
        # The smallest two-sided p-value is 2 / (R + 1): half of what the level asks for leaves room for a verdict.
        needed = round(4.0 / (1.0 - self.level))
        if self.n_replicates < needed:
            raise ValueError(
                f"n_replicates {self.n_replicates} is too few for level {self.level:g}: no p-value could be small "
                f"enough; raise n_replicates to {needed} at least"
            )
        return self
