"""The end of a listing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from alfred.errors import DataError


@dataclass(frozen=True)
class Delisting:
    """The end of a symbol.

    Attributes:
        date: The last day on which it was listed.
        payout: What a holder got after it, as a fraction of the last price; None when it is not known.
    """

    date: pd.Timestamp
    payout: float | None = None


def check_delistings(delistings: object) -> None:
    """Refuse entries that are no delistings.

    Raises:
        DataError: The first of them.
    """
    for symbol, item in cast("Mapping[str, object]", delistings).items():
        if not (
            isinstance(item, Delisting)
            and isinstance(item.date, pd.Timestamp)
            and item.date.tz is None
            and isinstance(item.payout, int | float | np.integer | np.floating | None)
        ):
            raise DataError(
                f"the delisting of '{symbol}' must be a Delisting of a Timestamp without a zone and "
                f"a number or None, got {item!r:.80}"
            )
