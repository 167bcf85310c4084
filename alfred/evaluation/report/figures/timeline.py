"""The time axis that all figures of a test share: which sessions are drawn, and where its folds begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alfred.evaluation.report.drawing.panel import Panel
from alfred.evaluation.report.drawing.scales import Scale, fit_dates, to_seconds
from alfred.evaluation.report.drawing.thinning import find_point_ends, find_point_starts
from alfred.evaluation.report.inputs import FoldScore
from alfred.typing import Float


@dataclass(frozen=True, eq=False)
class Timeline:
    """The sessions of a test.

    Attributes:
        dates: All of them.
        starts: First row of each point that is drawn.
        ends: Last row of each point.
        seconds: Time of each point.
        scale: The axis.
        breaks: Where each fold but the first begins, between 0 and 1, and its name.
    """

    dates: pd.DatetimeIndex
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    seconds: Float
    scale: Scale
    breaks: tuple[tuple[float, str], ...]

    @classmethod
    def make(cls, dates: pd.DatetimeIndex, folds: Sequence[FoldScore] = ()) -> Timeline:
        """Lay out the sessions of a test and its folds."""
        scale, ends = fit_dates(dates), find_point_ends(dates)
        begins = [float(scale.place(to_seconds(pd.DatetimeIndex([fold.start])))[0]) for fold in folds]
        inside = [(place, fold.name) for place, fold in zip(begins, folds, strict=True) if 0.0 < place < 1.0]
        return cls(dates, find_point_starts(dates), ends, to_seconds(dates[ends]), scale, tuple(inside))

    def make_panel(self, y: Scale, height: int, label: str, *, show_x: bool = True) -> Panel:
        """Return an empty panel with this axis; of panels above each other the last shows the dates."""
        return Panel(self.scale, y, height, label, breaks=self.breaks, show_x=show_x)
