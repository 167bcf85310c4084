"""A table with coloured cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alfred.evaluation.report.drawing.raster import write_colour


@dataclass(frozen=True)
class Cell:
    """One cell: what is written in it, its colour, and what a reader is told when pointing at it."""

    text: str
    colour: str = ""
    title: str = ""


@dataclass(frozen=True)
class Grid:
    """A table with coloured cells.

    Attributes:
        corner: Above the names of the rows.
        columns: Names of the columns.
        rows: Name of each row, and its cells.
    """

    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]


def make_cell(value: float, text: str, limit: float, title: str = "") -> Cell:
    """Return a cell coloured by its value: full at `limit`, empty where there is no number."""
    return Cell(text, write_colour(value, limit), title) if np.isfinite(value) else Cell("")
