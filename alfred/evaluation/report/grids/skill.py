"""Skill of the signals by horizon, with stars for what is left after multiple testing.

Axes legend: K tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alfred.evaluation.formatting import format_number, format_p_value
from alfred.evaluation.report.grids.grid import Cell, Grid, make_cell
from alfred.typing import Float, FloatArray

_STARS = ((0.001, "★★★"), (0.01, "★★"), (0.05, "★"))
_LEAST = 0.02  # rank correlation whose colour is full at least


@dataclass(frozen=True)
class SkillGrid:
    """Skill by signal and horizon.

    Attributes:
        grid: The table.
        n_tests: Signals that were tested.
        n_starred: How many stand out after correction.
    """

    grid: Grid
    n_tests: int
    n_starred: int


def adjust_holm(p_values: FloatArray) -> Float:
    """Return p-values after Holm's correction, `[K]`; NaN is no test.

    The chance that any star is false is below its level, however the tests depend on each other (Holm, 1979).
    """
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(np.isfinite(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    scaled = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0) if len(order) else scaled
    return adjusted


def tabulate_skill(skill: pd.DataFrame) -> SkillGrid:
    """Lay out the rank correlation of every signal by its horizon.

    Args:
        skill: What `compute_signal_skill` returns.
    """
    adjusted = adjust_holm(skill["p"].to_numpy(dtype=np.float64))
    values = skill["value"].to_numpy(dtype=np.float64)
    # A column is there for what was measured; a feature has no horizon.
    horizons = sorted({int(horizon) for horizon in skill["horizon"][np.isfinite(values)]})
    finite = np.abs(values[np.isfinite(values)])
    limit = max(float(np.quantile(finite, 0.95)) if len(finite) else 0.0, _LEAST)
    lines: dict[str, list[Cell]] = {}
    starred = 0
    for line, value, p in zip(skill.itertuples(), values, adjusted, strict=True):
        name = _name_row(str(line.signal), int(line.horizon), str(line.period))
        stars = next((text for bound, text in _STARS if p < bound), "")
        starred += bool(stars)
        told = (
            f"{line.signal}, {line.period} dates, {line.measure}: {format_p_value(p) if np.isfinite(p) else 'no test'}"
        )
        cells = lines.setdefault(name, [Cell("")] * len(horizons))
        text = f"{format_number(value, 3, sign=True)}{stars}"
        if np.isfinite(value):
            cells[horizons.index(int(line.horizon))] = make_cell(value, text, limit, told)
    columns = [f"{horizon} session{'' if horizon == 1 else 's'}" for horizon in horizons]
    return SkillGrid(Grid("Signal", columns, list(lines.items())), int(np.isfinite(adjusted).sum()), starred)


def _name_row(signal: str, horizon: int, period: str) -> str:
    """Return the name of a signal without its horizon, and the dates when they are not all."""
    stem = signal.removesuffix(f"_{horizon}")
    return stem if period == "all" else f"{stem} ({period})"
