"""One split of examples in time for every learner: the first part trains, the last part validates, nothing overlaps.

Axes legend: E examples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfred.errors import DataError


def split_by_session(
    sessions: npt.NDArray[np.integer], *, horizon: int, validation_fraction: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows to train on and the rows to validate on, each `[.]`, in the order they were given.

    The last share of the examples validates. An example whose label is known only once validation has begun is dropped
    (purged cross-validation: Lopez de Prado, 2018, chapter 7), so that no label that is learnt from overlaps one that
    the best step is chosen by.

    Args:
        sessions: Row of the session at which each example is forecast, `[E]`; its label reads `horizon` sessions more.
        horizon: Longest horizon of any label, in sessions.
        validation_fraction: Share of the examples that validates, between 0 and 1.

    Raises:
        DataError: There is nothing to train or nothing to validate on.
    """
    order = np.asarray(sessions)
    if not len(order):
        raise DataError("there are no examples to split into training and validation; give a longer history")
    first = int(np.quantile(order, 1 - validation_fraction))
    train, validation = np.flatnonzero(order < first - horizon), np.flatnonzero(order >= first)
    if not len(train):
        raise DataError(
            f"no example is left to train on: {len(order)} examples on sessions {order.min()} to {order.max()}, of "
            f"which those from {first - horizon} on are validated on or have labels that reach into validation; give "
            "a longer history, shorter horizons or a smaller validation_fraction"
        )
    return train, validation
