"""Walk-forward forecasting: refit on what is known, forecast what comes after, never the other way round."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import list_signals
from alfred.analysts.settings import AnalystSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum
from alfred.errors import DataError, SignalError, name_own_code
from alfred.learning.watch import watch_training
from alfred.settings import check_name
from alfred.training.effort.timings import time_call, wait_for
from alfred.training.jobs import Job, run_jobs
from alfred.training.pieces import check_alone, fit_analyst, predict_rows, read_piece, write_piece
from alfred.training.progress import Reporter
from alfred.training.provenance.cache import Cache, Grid, Shelf, identify_piece
from alfred.training.provenance.stages import (
    STAGE_FILE,
    Parts,
    describe_forecast,
    digest_calibration,
    explain_change,
    fingerprint_analyst,
    read_stage,
    require_same_code,
    write_stage,
)
from alfred.training.recalibration import Recalibration, Recorder

_BATCH = 4096  # windows in one cached piece: seconds of work for the slowest analyst, so that a kill loses little
_WORTHWHILE = 5.0  # seconds of a fit from which on a process of its own is worth its start
SIGNALS_FILE = "signals.parquet"


@dataclass(frozen=True)
class Block:
    """One refit and the rows that it forecasts.

    Attributes:
        fit_row: Last row that the refit may read.
        rows: Rows to forecast, all after `fit_row`, ascending.
    """

    fit_row: int
    rows: npt.NDArray[np.int64]


def make_blocks(n_dates: int, settings: ForecastSettings) -> list[Block]:
    """Cut the rows of a market into refits and the rows that each one forecasts.

    Raises:
        DataError: There is no row left to forecast.
    """
    first = settings.min_train_days - 1
    if first >= n_dates - 1:
        raise DataError(
            f"forecasting needs more than min_train_days = {settings.min_train_days} sessions, the market has "
            f"{n_dates}; lower forecast.min_train_days or load a longer history"
        )
    starts = range(first, n_dates - 1, settings.refit_every_days)
    return [Block(row, np.arange(row + 1, min(row + settings.refit_every_days, n_dates - 1) + 1)) for row in starts]


def forecast_walk_forward(
    market: Market,
    settings: AnalystSettings,
    schedule: ForecastSettings,
    progress: Callable[[int], None] = lambda _done: None,
    *,
    fresh: bool = False,
    stage: Parts | None = None,
    recorder: Recorder | None = None,
    curves: Path | None = None,
) -> Signals:
    """Forecast every session after the first refit with a model that was trained before it.

    Forecasts are calibrated as `settings.calibration` says, by the outcomes of earlier ones that are known at the
    close of their date; `trained_until` is the date of the model, which calibration does not touch.

    Args:
        market: The whole market; the analyst is handed copies of cuts of it.
        settings: The analyst.
        schedule: When it is refitted.
        progress: Told the rows done so far.
        fresh: Compute everything; the cache is written but not read.
        stage: What the signals are described with, when they are to be kept.
        recorder: Keeps the calibrated distributions, of which signals are a part.
        curves: Folder for TensorBoard curves of what is trained, one folder a refit.

    Raises:
        DataError: The history is too short.
        SignalError: A forecast depends on later windows of its batch.
        AlfredError: The code on disk is no longer that of `stage`.
    """
    code = fingerprint_analyst(settings)
    if stage is not None:
        # A worker process loads the code as it stands when the worker starts.
        require_same_code(code, stage, settings.label)
        require_same_code(digest_calibration(settings), stage, settings.label, "calibration")
    names, horizons = list_signals(settings)
    schedule = specialise(schedule, settings)
    blocks = make_blocks(market.n_dates, schedule)
    values = np.full((market.n_dates, market.n_symbols, len(names)), np.nan, dtype=np.float32)
    trained = np.empty(market.n_dates, dtype="datetime64[s]")
    cutoff, notes = None, dict[str, None]()
    recalibration = Recalibration(settings, market.n_symbols, recorder)
    for block in blocks:
        # The block is cut before anything else happens: neither the fit nor a window can reach past it.
        visible = market.until(market.dates[block.rows[-1]])
        cache = None if schedule.cache is None else Cache(schedule.cache, code, readable=not fresh)
        values[block.rows], analyst = _forecast_block(
            visible, settings, schedule, block, cache, recalibration, progress, curves
        )
        cutoff = analyst.knowledge_cutoff
        notes |= dict.fromkeys(analyst.notes)
        trained[block.rows] = market.dates[block.fit_row].to_numpy()
    first = int(blocks[0].rows[0])
    return Signals(
        dates=market.dates[first:],
        symbols=market.symbols,
        names=names,
        values=values[first:],
        trained_until=trained[first:],
        horizons=horizons,
        knowledge_cutoffs={} if cutoff is None else {settings.label: cutoff},
        notes=tuple(notes),
    )


def iterate_fitted(
    market: Market, settings: AnalystSettings, schedule: ForecastSettings, since: pd.Timestamp
) -> Iterator[tuple[Market, npt.NDArray[np.int64], Analyst]]:
    """Yield the models of a walk from a date on, out of the cache where they are in it.

    Args:
        market: The whole market.
        settings: The analyst.
        schedule: When it is refitted.
        since: First date that is forecast.

    Yields:
        The market cut at the last row of the refit, the rows that it forecasts from the date on, and the model.
    """
    schedule = specialise(schedule, settings)
    cache = None if schedule.cache is None else Cache(schedule.cache, fingerprint_analyst(settings))
    for block in make_blocks(market.n_dates, schedule):
        rows = block.rows[market.dates[block.rows] >= since]
        if len(rows):
            visible = market.until(market.dates[block.rows[-1]])
            past = _cut_past(visible, schedule, block)
            shelf = None if cache is None else cache.open(past, settings)
            yield visible, rows, fit_or_load(past, settings, shelf)


def forecast_all(
    market: Market,
    analysts: Sequence[AnalystSettings],
    schedule: ForecastSettings,
    *,
    n_jobs: int,
    reporter: Reporter,
    folder: Path | None = None,
    fresh: bool = False,
    timed: Callable[[AnalystSettings, float], None] = lambda _settings, _seconds: None,
    expect: Callable[[AnalystSettings], float] = lambda _settings: 0.0,
) -> list[Signals]:
    """Forecast with several analysts in parallel processes.

    Args:
        market: The whole market.
        analysts: Who forecasts.
        schedule: When they are refitted.
        n_jobs: Processes.
        reporter: Progress callback, and why signals in `folder` are not used again.
        folder: Where the signals of each analyst are kept; they are read again while all that they were made from is
            the same.
        fresh: Compute everything, whatever is kept.
        timed: Told how many seconds each analyst took that was not kept.
        expect: Says how many an analyst is expected to take.

    Returns:
        The signals, in the order of `analysts`.
    """
    checksum = compute_market_checksum(market)
    found: dict[str, Signals] = {}
    jobs, stages = list[Job[Any]](), {}
    owners = list[str]()
    fair = sum(map(expect, analysts))
    for settings in analysts:
        stage = describe_forecast(checksum, settings, specialise(schedule, settings))
        place = None if folder is None else folder / check_name(settings.label, "analyst")
        if place is not None and ((place / STAGE_FILE).exists() or (place / SIGNALS_FILE).exists()) and not fresh:
            reason = explain_change(read_stage(place), stage)
            if not reason:
                try:
                    found[settings.label] = Signals.load(place / SIGNALS_FILE)
                    continue
                except SignalError:
                    reason = "its signals are damaged"
            reporter.say(f"analyst {settings.label}: forecast again, {reason}")
        stages[settings.label] = stage
        curves = None if place is None else place / "curves"
        if curves is not None and (fresh or explain_change(read_stage(curves), stage)):
            # Refits of other settings would stand beside those that come; a walk that goes on keeps its own.
            shutil.rmtree(curves, ignore_errors=True)
            write_stage(curves, stage)
        walk = partial(forecast_walk_forward, market, settings, schedule, fresh=fresh, stage=stage, curves=curves)
        name, total = f"analyst {settings.label}", market.n_dates - schedule.min_train_days
        jobs.append(Job(name, partial(time_call, walk), total, weight=expect(settings)))
        owners.append(settings.label)
        if n_jobs > 1 and not fresh:
            later = _plan_fits(market, settings, schedule, stage, curves, expect(settings), fair / n_jobs)
            jobs += later
            owners += [settings.label] * len(later)
    seconds = dict.fromkeys(stages, 0.0)
    for label, done in zip(owners, run_jobs(jobs, n_jobs, reporter), strict=True):
        seconds[label] += done.seconds
        if done.value is not None:
            found[label] = done.value
    by_label = {settings.label: settings for settings in analysts}
    for label, stage in stages.items():
        timed(by_label[label], seconds[label])
        if folder is not None:
            signals = found[label]
            # The description goes first and comes back last: signals and description never disagree.
            (folder / label / STAGE_FILE).unlink(missing_ok=True)
            signals.save(folder / label / SIGNALS_FILE)
            write_stage(folder / label, stage)
    return [found[settings.label] for settings in analysts]


def _plan_fits(
    market: Market,
    settings: AnalystSettings,
    schedule: ForecastSettings,
    stage: Parts,
    curves: Path | None,
    seconds: float,
    fair: float,
) -> list[Job[Any]]:
    """Return the later fits of an analyst as jobs beside its walk, which finds them in the cache or waits for them.

    Args:
        market: The whole market.
        settings: The analyst.
        schedule: When it is refitted.
        stage: What its signals are described with.
        curves: Folder for TensorBoard curves.
        seconds: What the analyst is expected to take.
        fair: What each process is expected to take.

    Returns:
        Nothing where the walk alone keeps no other process waiting.
    """
    blocks = make_blocks(market.n_dates, specialise(schedule, settings))
    if schedule.cache is None or seconds <= fair or seconds < _WORTHWHILE * len(blocks):
        return []
    return [
        Job(
            f"analyst {settings.label} refit of {market.dates[blocks[number].fit_row].date()}",
            partial(time_call, partial(fit_block, market, settings, schedule, number, stage, curves)),
            weight=seconds / len(blocks),
        )
        for number in range(1, len(blocks))
    ]


def fit_block(
    market: Market,
    settings: AnalystSettings,
    schedule: ForecastSettings,
    number: int,
    stage: Parts,
    curves: Path | None,
    progress: Callable[[int], None] = lambda _done: None,
) -> None:
    """Put the model of one refit of a walk into the cache; see `forecast_walk_forward` for the arguments.

    Raises:
        AlfredError: The code on disk is no longer that of `stage`.
    """
    code = fingerprint_analyst(settings)
    # A worker that has loaded other code would leave its model under the name of the code on disk.
    require_same_code(code, stage, settings.label)
    schedule = specialise(schedule, settings)
    block = make_blocks(market.n_dates, schedule)[number]
    if schedule.cache is not None:
        past = _cut_past(market, schedule, block)
        shelf = Cache(schedule.cache, code).open(past, settings)
        fit_or_load(past, settings, shelf, curves)
    progress(1)


def _forecast_block(
    visible: Market,
    settings: AnalystSettings,
    schedule: ForecastSettings,
    block: Block,
    cache: Cache | None,
    recalibration: Recalibration,
    progress: Callable[[int], None],
    curves: Path | None,
) -> tuple[Grid, Analyst]:
    """Return the signals of a block, `[R, N, K]`, forecasts from the cache where it has them, and their analyst."""
    past = _cut_past(visible, schedule, block)
    shelf = None if cache is None else cache.open(past, settings)
    analyst: Analyst | None = None
    names, _ = list_signals(settings)
    result = np.full((len(block.rows), visible.n_symbols, len(names)), np.nan, dtype=np.float32)
    wanted = block.rows[:: schedule.forecast_every_days]
    per_piece = max(1, _BATCH // visible.n_symbols)
    for position in range(0, len(wanted), per_piece):
        rows = wanted[position : position + per_piece]
        window = visible.until(visible.dates[rows[-1]])
        name = "" if shelf is None else identify_piece(window, rows, settings)
        piece = None if shelf is None else read_piece(shelf, name, len(rows), window.n_symbols, settings)
        if piece is None:
            analyst = analyst or fit_or_load(past, settings, shelf, curves)
            piece = predict_rows(analyst, window, rows)
            if piece is not None and position == 0:
                check_alone(analyst, window, rows, piece)
            if piece is not None and shelf is not None:
                write_piece(shelf, name, piece)
        if piece is not None:
            result[rows - block.rows[0]] = recalibration.make_signals(window, rows, piece)
        progress(int(rows[-1]) - schedule.min_train_days + 1)
    if schedule.forecast_every_days > 1:
        latest = np.arange(len(block.rows)) // schedule.forecast_every_days * schedule.forecast_every_days
        result = result[latest]
    # With every piece in the cache the model is there as well, and reading it takes no time.
    return result, analyst or fit_or_load(past, settings, shelf, curves)


def _cut_past(visible: Market, schedule: ForecastSettings, block: Block) -> Market:
    """Return what a refit may read."""
    start = 0 if schedule.max_train_days is None else max(0, block.fit_row + 1 - schedule.max_train_days)
    # A copy: the memory behind a cut goes on past its end. Notes are of the whole market, and may tell what comes.
    return replace(visible.until(visible.dates[block.fit_row]).since(visible.dates[start]).copy(), notes=())


def fit_or_load(
    past: Market, settings: AnalystSettings, shelf: Shelf | None, curves: Path | None = None, *, resume: bool = True
) -> Analyst:
    """Return an analyst that is fitted on a market, from the cache where it is there.

    Args:
        past: A copy of the market that ends at the refit date.
        settings: The analyst.
        shelf: Its place in the cache, or None.
        curves: Folder for TensorBoard curves of what is trained.
        resume: Whether a fit that is killed goes on.
    """
    analyst = None if shelf is None else shelf.read_model(settings)
    if analyst is None:
        # Whoever comes second waits, and reads what the first one fitted.
        with nullcontext() if shelf is None else wait_for(shelf.hold()):
            analyst = None if shelf is None else shelf.read_model(settings)
            analyst = analyst or _fit(past, settings, shelf, curves, resume=resume)
    return analyst


def _fit(past: Market, settings: AnalystSettings, shelf: Shelf | None, curves: Path | None, *, resume: bool) -> Analyst:
    until = str(past.dates[-1].date())
    checkpoints = None if shelf is None or not resume else shelf.open_checkpoints()
    with watch_training(curves=None if curves is None else curves / until, checkpoints=checkpoints) as watch:
        analyst = fit_analyst(settings, past)
    if shelf is not None:
        with name_own_code(analyst, f"analyst '{settings.label}'", "save_pretrained"):
            analyst.save_pretrained(shelf.model)
        watch.forget()
    return analyst


def specialise(schedule: ForecastSettings, settings: AnalystSettings) -> ForecastSettings:
    """Return the schedule with an analyst's own wishes in it."""
    wishes = {"refit_every_days": settings.refit_every_days, "forecast_every_days": settings.forecast_every_days}
    return schedule.model_copy(update={name: value for name, value in wishes.items() if value is not None})
