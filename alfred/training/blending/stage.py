"""The blend as a stage of a run: kept beside the signals of the analysts, and used again while it holds."""

from __future__ import annotations

from pathlib import Path

from alfred.config import BlendSettings, Experiment
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum
from alfred.errors import SignalError
from alfred.training.blending.walk import blend_walk_forward, can_blend
from alfred.training.progress import Reporter
from alfred.training.provenance.stages import (
    STAGE_FILE,
    describe_blend,
    explain_change,
    fingerprint_blend,
    read_stage,
    require_same_code,
    write_stage,
)

_FILE = "signals.parquet"


def make_blend(
    market: Market, signals: Signals, settings: BlendSettings, folder: Path, *, fresh: bool, reporter: Reporter
) -> Signals:
    """Return the signals of the blend: those of an earlier run while all that they were made from is the same.

    Args:
        market: The whole market.
        signals: Of the analysts, joined.
        settings: Of the blend.
        folder: Where the signals are kept.
        fresh: Compute them, whatever is kept.
        reporter: Told why they are made again.

    Raises:
        ConfigError: There is nothing to combine.
        AlfredError: The code was edited while the run went on.
    """
    stage = describe_blend(compute_market_checksum(market), signals, settings)
    if folder.exists() and not fresh:
        reason = explain_change(read_stage(folder), stage)
        if not reason:
            try:
                return Signals.load(folder / _FILE)
            except SignalError:
                reason = "its signals are damaged"
        reporter.say(f"{settings.label}: combined again, {reason}")
    found = blend_walk_forward(market, signals, settings)
    require_same_code(fingerprint_blend(), stage, settings.label)
    # The description goes first and comes back last: signals and description never disagree.
    (folder / STAGE_FILE).unlink(missing_ok=True)
    found.save(folder / _FILE)
    write_stage(folder, stage)
    return found


def explain_blend(checksum: str, signals: Signals, experiment: Experiment, forecasts: Path) -> str:
    """Say on one line why the blend of a run does not hold any more; empty when it does, or when there is none.

    Args:
        checksum: Of the market.
        signals: All signals of the run.
        experiment: Its configuration.
        forecasts: Folder of the signals of each analyst.
    """
    settings = experiment.blend
    analysts = [item.label for item in experiment.analysts]
    own = signals.select([spec.name for spec in signals.specs if spec.analyst in analysts])
    if settings is None or not can_blend(own.specs):
        return ""
    stage = describe_blend(checksum, own, settings)
    return explain_change(read_stage(forecasts / settings.label), stage)
