"""Records of finished experiments, each with what it was made from, so that a killed run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alfred.data.market import Market
from alfred.data.sources import compute_market_checksum
from alfred.envs.settings import PortfolioSettings
from alfred.errors import CheckpointError, ConfigError
from alfred.evaluation.backtest import Backtest
from alfred.training.experiments.phases import PhasePlan
from alfred.training.experiments.registry import NamedStrategy
from alfred.training.experiments.settings import StrategySettings
from alfred.training.progress import Reporter
from alfred.training.provenance.fingerprint import fingerprint_code
from alfred.training.provenance.stages import (
    STAGE_FILE,
    Parts,
    compute_digest,
    digest_environment,
    explain_change,
    fingerprint_analyst,
    read_stage,
    write_stage,
)

RECORD_FILE = "backtest.parquet"
_CODE = ("alfred.training.experiments.walk",)


@dataclass(frozen=True)
class Describer:
    """Says what the walks of one phase are made from; what they share is computed once.

    Attributes:
        plan: Dates and schedule.
        terms: Market terms.
        data: Checksum of all that the phase may know.
        environment: Digest of the terms.
        code: Digest of what picks and walks.
    """

    plan: PhasePlan
    terms: PortfolioSettings
    data: str
    environment: str
    code: str

    @classmethod
    def make(cls, plan: PhasePlan, terms: PortfolioSettings) -> Describer:
        """Compute what all walks of a phase share."""
        return cls(
            plan,
            terms,
            compute_market_checksum(plan.market),
            digest_environment(terms, plan.market),
            fingerprint_code(modules=_CODE),
        )

    def describe(self, strategy: StrategySettings, more: object = None) -> Parts:
        """Return what the record of a strategy is made from."""
        return {
            "data": self.data,
            "folds": compute_digest(str(self.plan.decided), str(self.plan.end)),
            "settings": compute_digest(strategy.model_dump(mode="json"), more),
            "schedule": self._schedule,
            "environment": self.environment,
            "code": compute_digest(self.code, fingerprint_analyst(strategy.trees)),
        }

    def hash_choice(self, strategy: StrategySettings) -> str:
        """Return a hash of all that a person chose; the data and the dates do not count, as in any trial."""
        parts = self.describe(strategy)
        return compute_digest(*(parts[name] for name in ("settings", "schedule", "environment", "code")))

    @property
    def _schedule(self) -> str:
        # A refit that never comes is the same whatever the length of the data.
        refit = self.plan.refit_every_days
        return compute_digest(refit if refit < self.plan.market.n_dates else None, self.plan.max_train_days)


def read_record(folder: Path, name: str, now: Parts, reporter: Reporter) -> Backtest | None:
    """Return the record in a folder, or None, with the reason, when it is not of what stands there now."""
    if not (folder / RECORD_FILE).exists():
        return None
    reason = explain_change(read_stage(folder), now)
    if not reason:
        try:
            return Backtest.load(folder / RECORD_FILE)
        except CheckpointError:
            reason = "its record is damaged"
    reporter.say(f"{name}: walked again, {reason}")
    return None


def save_record(folder: Path, now: Parts, record: Backtest) -> None:
    """Keep a record; the description goes first and comes back last, so that the two never disagree."""
    (folder / STAGE_FILE).unlink(missing_ok=True)
    record.save(folder / RECORD_FILE)
    write_stage(folder, now)


def check_names(experiments: Sequence[NamedStrategy], market: Market, taken: Sequence[str]) -> None:
    """Refuse experiments that are called like a baseline of the table.

    Raises:
        ConfigError: One is.
    """
    for item in experiments:
        if item.name in (market.benchmark, *taken):
            raise ConfigError(f"an experiment cannot be called '{item.name}', as a baseline is; choose another name")
