"""Pictures of forecasts: what came of them, and whether their quantiles hold what they say.

Axes legend: T dates, N symbols, H horizons, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from alfred.data.files import write_atomically
from alfred.data.market import Market
from alfred.evaluation.forecast_metrics import compute_realised_returns
from alfred.evaluation.forecasts.record import ForecastRecord
from alfred.typing import Float

_N_BINS = 10
_ROWS, _COLUMNS = 3.2, 3.6  # inches of one panel


def save_forecast_pictures(
    folder: Path | str, forecasts: Mapping[str, ForecastRecord], market: Market
) -> tuple[Path, Path]:
    """Write `outcomes.png` (forecast against outcome) and `calibration.png` into a folder.

    Args:
        folder: Made when it is missing.
        forecasts: Records by analyst.
        market: The market with what happened.

    Returns:
        The two files.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    outcomes, calibration = target / "outcomes.png", target / "calibration.png"
    _save(outcomes, draw_outcomes(forecasts, market))
    _save(calibration, draw_calibration(forecasts, market))
    return outcomes, calibration


def draw_outcomes(forecasts: Mapping[str, ForecastRecord], market: Market) -> Figure:
    """Draw the mean outcome of ten equally large groups of windows, sorted by the forecast, in per cent.

    A forecaster with skill lies on the diagonal; one without on a horizontal line. Bars span two standard errors of
    the group's mean over dates, so that a date counts once however many symbols it has.
    """
    figure, panels = _make_panels(forecasts)
    for (name, record), row in zip(forecasts.items(), panels, strict=True):
        for place, (horizon, axes) in enumerate(zip(record.horizons, row, strict=False)):
            outcome = np.asarray(compute_realised_returns(market, record.dates, record.symbols, horizon), np.float64)
            mean = record.mean[:, :, place].astype(np.float64)
            centres, heights, errors = _group(mean, outcome, horizon)
            axes.axhline(0, color="0.7", linewidth=0.8)
            if len(centres) > 1:
                axes.plot(centres, centres, color="0.7", linewidth=0.8, linestyle="--")
            axes.errorbar(centres, heights, yerr=2 * errors, fmt="o", markersize=3, linewidth=1)
            _label(axes, name, horizon, "forecast, %", "mean outcome, %")
    return figure


def draw_calibration(forecasts: Mapping[str, ForecastRecord], market: Market) -> Figure:
    """Draw the share of outcomes below each quantile against its level; an honest distribution lies on the diagonal."""
    figure, panels = _make_panels(forecasts)
    for (name, record), row in zip(forecasts.items(), panels, strict=True):
        for place, (horizon, axes) in enumerate(zip(record.horizons, row, strict=False)):
            outcome = np.asarray(compute_realised_returns(market, record.dates, record.symbols, horizon), np.float64)
            quantiles = record.quantiles[:, :, place].astype(np.float64)
            known = np.isfinite(outcome) & np.isfinite(quantiles).all(axis=2)
            axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
            if len(record.levels) and known.any():
                # An outcome that equals the quantile is split between both sides: a halted price does not move.
                below = (outcome[known][:, None] < quantiles[known]).mean(axis=0)
                ties = (outcome[known][:, None] == quantiles[known]).mean(axis=0)
                axes.plot(record.levels, below + ties / 2, marker="o", markersize=3, linewidth=1)
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            _label(axes, name, horizon, "level", "share below")
    return figure


def _save(path: Path, figure: Figure) -> None:
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))


def _group(mean: Float, outcome: Float, horizon: int) -> tuple[Float, Float, Float]:
    """Return mean forecast, mean outcome and its standard error of each group, in per cent."""
    known = np.isfinite(mean) & np.isfinite(outcome)
    if not known.any():
        return np.zeros(0), np.zeros(0), np.zeros(0)
    edges = np.unique(np.quantile(mean[known], np.linspace(0, 1, _N_BINS + 1)))
    found = []
    groups = np.where(known, np.clip(np.searchsorted(edges, mean, side="right") - 1, 0, max(len(edges) - 2, 0)), -1)
    for number in range(max(len(edges) - 1, 1)):
        inside = groups == number
        if not inside.any():
            continue
        n_symbols = inside.sum(axis=1)
        days = np.where(inside, outcome, 0.0).sum(axis=1)[n_symbols > 0] / n_symbols[n_symbols > 0]
        # Outcomes of `horizon` sessions overlap: that many dates in a row say as much as one.
        error = days.std(ddof=1) / np.sqrt(max(len(days) / horizon, 1.0)) if len(days) > 1 else np.nan
        found.append((mean[inside].mean(), outcome[inside].mean(), error))
    centres, heights, errors = (100 * np.array(column) for column in zip(*found, strict=True))
    return centres, heights, np.nan_to_num(errors)


def _make_panels(forecasts: Mapping[str, ForecastRecord]) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a row for each analyst and a column for each of its horizons."""
    n_columns = max(len(record.horizons) for record in forecasts.values())
    figure = Figure(figsize=(_COLUMNS * n_columns, _ROWS * len(forecasts)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(forecasts), n_columns, squeeze=False)
    for row, record in zip(panels, forecasts.values(), strict=True):
        for axes in row[len(record.horizons) :]:
            axes.set_visible(False)
    return figure, [list(row) for row in panels]


def _label(axes: Axes, name: str, horizon: int, across: str, up: str) -> None:
    # A dollar sign would begin a formula.
    axes.set_title(f"{name}, {horizon} session{'s' if horizon > 1 else ''}".replace("$", r"\$"), fontsize=9)
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)
    axes.tick_params(labelsize=7)
