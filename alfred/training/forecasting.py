"""Walk-forward forecasting: refit on what is known, forecast what comes after, never the other way round."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alfred import __version__
from alfred.analysts.base import Analyst, AnalystSettings
from alfred.analysts.forecast import signal_names
from alfred.analysts.registry import load_analyst_class, make_analyst
from alfred.config import ForecastSettings
from alfred.data.contexts import iterate_contexts
from alfred.data.files import write_atomically
from alfred.data.market import Market
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum
from alfred.errors import DataError
from alfred.training.parallel import Job, run_jobs
from alfred.training.progress import Reporter

_BATCH = 4096  # windows in one cached piece: seconds of work for the slowest analyst, so that a kill loses little

Grid = npt.NDArray[np.float32]


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
) -> Signals:
    """Forecast every session after the first refit with a model that was trained before it.

    Args:
        market: The whole market; the analyst is handed cuts of it.
        settings: The analyst.
        schedule: When it is refitted.
        progress: Told the rows done so far.

    Raises:
        DataError: The history is too short.
    """
    names, horizons = signal_names(settings.label, settings.horizons)
    schedule = _specialise(schedule, settings)
    blocks = make_blocks(market.n_dates, schedule)
    values = np.full((market.n_dates, market.n_symbols, len(names)), np.nan, dtype=np.float32)
    trained = np.empty(market.n_dates, dtype="datetime64[s]")
    cutoff, notes = None, dict[str, None]()
    for block in blocks:
        # The block is cut before anything else happens: neither the fit nor a window can reach past it.
        visible = market.until(market.dates[block.rows[-1]])
        values[block.rows], analyst = _forecast_block(visible, settings, schedule, block, progress)
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


def forecast_all(
    market: Market,
    analysts: Sequence[AnalystSettings],
    schedule: ForecastSettings,
    *,
    n_jobs: int,
    reporter: Reporter,
) -> list[Signals]:
    """Forecast with several analysts in parallel processes, in the order of `analysts`."""
    total = market.n_dates - schedule.min_train_days
    jobs = [
        Job(
            f"analyst {settings.label}",
            forecast_walk_forward,
            {"market": market, "settings": settings, "schedule": schedule},
            total,
        )
        for settings in analysts
    ]
    return run_jobs(jobs, n_jobs, reporter)


def _forecast_block(
    visible: Market,
    settings: AnalystSettings,
    schedule: ForecastSettings,
    block: Block,
    progress: Callable[[int], None],
) -> tuple[Grid, Analyst]:
    """Return the signals of a block, `[R, N, K]`, from the cache where it has them, and the analyst behind them."""
    start = 0 if schedule.max_train_days is None else max(0, block.fit_row + 1 - schedule.max_train_days)
    past = visible.until(visible.dates[block.fit_row]).since(visible.dates[start])
    folder = None if schedule.cache is None else schedule.cache / _identify(past, settings)
    analyst: Analyst | None = None
    names, _ = signal_names(settings.label, settings.horizons)
    result = np.full((len(block.rows), visible.n_symbols, len(names)), np.nan, dtype=np.float32)
    wanted = block.rows[:: schedule.forecast_every_days]
    per_piece = max(1, _BATCH // visible.n_symbols)
    for position in range(0, len(wanted), per_piece):
        rows = wanted[position : position + per_piece]
        window = visible.until(visible.dates[rows[-1]])
        path = None if folder is None else folder / f"{_identify_piece(window, rows, settings)}.npy"
        piece = _read_piece(path, (len(rows), *result.shape[1:]))
        if piece is None:
            analyst = analyst or _fit_or_load(past, settings, folder)
            piece = _predict_rows(analyst, window, rows)
            if path is not None:
                _write_piece(path, piece)
        result[rows - block.rows[0]] = piece
        progress(int(rows[-1]) - schedule.min_train_days + 1)
    if schedule.forecast_every_days > 1:
        latest = np.arange(len(block.rows)) // schedule.forecast_every_days * schedule.forecast_every_days
        result = result[latest]
    # With every piece in the cache the model is there as well, and reading it takes no time.
    return result, analyst or _fit_or_load(past, settings, folder)


def _fit_or_load(past: Market, settings: AnalystSettings, folder: Path | None) -> Analyst:
    saved = None if folder is None else folder / "model"
    if saved is not None and (saved / "settings.json").exists():
        return load_analyst_class(settings.kind).from_pretrained(saved)
    analyst = make_analyst(settings).fit(past)
    if saved is not None:
        analyst.save_pretrained(saved)
    return analyst


def _predict_rows(analyst: Analyst, window: Market, rows: npt.NDArray[np.int64]) -> Grid:
    names, _ = signal_names("", analyst.horizons)
    values = np.full((len(rows), window.n_symbols, len(names)), np.nan, dtype=np.float32)
    for row, column, contexts in iterate_contexts(
        window, rows, length=analyst.context_length, fields=analyst.fields, min_history=analyst.min_history
    ):
        values[np.searchsorted(rows, row), column] = analyst.predict(contexts).to_signals()
    return values


def _identify(past: Market, settings: AnalystSettings) -> str:
    """Name the cache folder of one fit by everything that it depends on."""
    fields = settings.model_dump(mode="json", exclude={"name", "refit_every_days", "forecast_every_days"})
    return f"{settings.kind}-{_digest(fields, compute_market_checksum(past), __version__)}"


def _identify_piece(window: Market, rows: npt.NDArray[np.int64], settings: AnalystSettings) -> str:
    """Name one piece by the bars that its windows hold and by which symbols have enough history."""
    first = max(0, int(rows[0]) - settings.context_length + 1)
    history = window.tradable[: rows[0] + 1].sum(axis=0)
    return _digest(
        compute_market_checksum(window.since(window.dates[first])), (rows - first).tolist(), history.tolist()
    )


def _specialise(schedule: ForecastSettings, settings: AnalystSettings) -> ForecastSettings:
    """Return the schedule with an analyst's own wishes in it."""
    wishes = {"refit_every_days": settings.refit_every_days, "forecast_every_days": settings.forecast_every_days}
    return schedule.model_copy(update={name: value for name, value in wishes.items() if value is not None})


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read_piece(path: Path | None, shape: tuple[int, ...]) -> Grid | None:
    if path is None or not path.exists():
        return None
    try:
        piece = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None  # a damaged piece is made again
    return piece if piece.shape == shape and piece.dtype == np.float32 else None


def _write_piece(path: Path, piece: Grid) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, piece, allow_pickle=False)

    write_atomically(path, write)
