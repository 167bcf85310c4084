"""What a policy did by the two signals that it followed most."""

from __future__ import annotations

import numpy as np

from alfred.evaluation.breakdown.policy_map import N_BINS, PolicyMap
from alfred.evaluation.formatting import format_number
from alfred.evaluation.report.grids.grid import Cell, Grid, make_cell

_FIFTHS = ("lowest fifth", "2", "3", "4", "highest fifth")


def tabulate_policy(found: PolicyMap) -> Grid:
    """Return the mean weight beyond an equal share, in per cent of wealth; the highest fifth of the rows on top."""
    values = np.array(found.active)
    known = np.abs(values[np.isfinite(values)])
    limit = float(known.max()) if len(known) and known.max() > 0.0 else 1.0
    digits = 3 if limit < 0.001 else 2
    rows = [
        (
            _FIFTHS[row],
            [
                make_cell(
                    value,
                    format_number(100 * value, digits, sign=True),
                    limit,
                    f"{found.counts[row][column]:,} pairs of a decision and an asset",
                )
                if np.isfinite(value)
                else Cell("")
                for column, value in enumerate(found.active[row])
            ],
        )
        for row in reversed(range(N_BINS))
    ]
    columns = _FIFTHS if found.columns else ("mean",)
    return Grid(f"{found.rows} \\ {found.columns}" if found.columns else found.rows, columns, rows)
