"""Prices as Toto wants them, to forecast from and to learn from.

Toto 1.0 adds 0.1 to every variance, so daily returns would reach it as a flat line. What it is fed are log prices times
100 counted from the last close (a daily move is about 1), or log prices in units of the window's own daily volatility.
What was not observed is filled forward and marked; the context is cut, not padded, to whole patches, because padding
changes the forecast.

Axes legend: B batch, C context length, T dates, N symbols, P steps of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from alfred.analysts.windows import compute_window_volatility
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import ConfigError, DataError
from alfred.typing import BoolArray, FloatArray

PERCENT = 100.0
_MAX_VALIDATION = 512


@dataclass(frozen=True)
class Windows:
    """Windows in the units of the network.

    Attributes:
        series: `[B, 1, C]` float32; the last close is 0.
        mask: True where observed, `[B, 1, C]`.
        unit: Log return of one unit, `[B]`.
    """

    series: torch.Tensor
    mask: torch.Tensor
    unit: FloatArray


def prepare_windows(contexts: Contexts, input_scaling: str, patch_size: int) -> Windows:
    """Turn contexts into windows of whole patches.

    Args:
        contexts: Windows of closes.
        input_scaling: `log_price` or `standardised`.
        patch_size: P.

    Raises:
        ConfigError: The context is shorter than a patch.
    """
    if contexts.context_length < patch_size:
        raise ConfigError(
            f"context_length {contexts.context_length} is shorter than a patch of {patch_size} sessions; lengthen it"
        )
    close = contexts.field("close")[:, contexts.context_length % patch_size :]
    with np.errstate(invalid="ignore"):
        logs, observed = fill_forward(np.log(close.astype(np.float64)))
    unit = compute_window_volatility(contexts) if input_scaling == "standardised" else np.full(len(close), 1 / PERCENT)
    series = np.where(observed.cumsum(axis=1) > 0, (logs - logs[:, -1:]) / unit[:, None], 0.0)
    return Windows(
        series=torch.from_numpy(series[:, None].astype(np.float32)),
        mask=torch.from_numpy(observed[:, None]),
        unit=unit,
    )


def fill_forward(values: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Fill NaN along the last axis with the value before it, 0 where there is none; return also what was finite."""
    observed = np.isfinite(values)
    position = np.maximum.accumulate(np.where(observed, np.arange(values.shape[-1]), -1), axis=-1)
    filled = np.take_along_axis(values, np.maximum(position, 0), axis=-1)
    return np.where(position >= 0, filled, 0.0), observed


class WindowExamples:
    """Windows of a market to learn from, cut out when they are asked for.

    A window is a context and one patch to forecast. Prices are counted from the last close of the context, in units
    that only the context has a say in.
    """

    def __init__(
        self,
        market: Market,
        starts: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        *,
        context: int,
        patch_size: int,
        input_scaling: str,
    ) -> None:
        """Store the panel and where each window lies.

        Args:
            market: The market.
            starts: First row of each window, `[B]`.
            columns: Symbol of each window, `[B]`.
            context: Sessions of the context, whole patches.
            patch_size: P.
            input_scaling: `log_price` or `standardised`.
        """
        with np.errstate(invalid="ignore"):
            logs, observed = fill_forward(np.log(np.where(market.tradable, market.close, np.nan).T.astype(np.float64)))
        self._logs, self._observed = torch.from_numpy(PERCENT * logs), torch.from_numpy(observed)
        self._starts, self._columns = torch.from_numpy(starts), torch.from_numpy(columns)
        self._context, self._input_scaling = context, input_scaling
        self._steps = torch.arange(context + patch_size)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._starts)

    def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return windows in the units of the network and what of them was observed, `[B, 1, C + P]` each."""
        columns = self._columns[rows][:, None]
        steps = self._starts[rows][:, None] + self._steps
        logs, mask = self._logs[columns, steps], self._observed[columns, steps]
        past = logs[:, : self._context]
        series = logs - past[:, -1:]
        if self._input_scaling == "standardised":
            volatility = past.diff(dim=1).square().mean(1, keepdim=True).sqrt()
            # One basis point, as in `compute_window_volatility`, here in per cent.
            series = series / volatility.clamp(min=1e-4 * PERCENT)
        return series.float()[:, None], mask[:, None]


def split_windows(
    market: Market, *, context: int, patch_size: int, input_scaling: str, validation_fraction: float
) -> tuple[WindowExamples, WindowExamples]:
    """Return the windows to train on and those to validate on.

    Every window starts and ends on a tradable session. A training window ends before the first date that validation
    asks for; validation asks for the last patch of its windows, which lies wholly in the last part of the history.

    Args:
        market: Everything that may be known.
        context: Sessions of a context, whole patches.
        patch_size: P.
        input_scaling: `log_price` or `standardised`.
        validation_fraction: Share of the dates to validate on.

    Raises:
        DataError: One of the two would be empty.
    """
    length = context + patch_size
    split = min(int(market.n_dates * (1 - validation_fraction)), market.n_dates - patch_size)
    first = np.arange(max(market.n_dates - length + 1, 0))
    starts, columns = np.nonzero(market.tradable[first] & market.tradable[first + length - 1])
    train = starts + length <= split
    validation = starts + context >= split
    if not train.any() or not validation.any():
        raise DataError(
            f"Toto finds no window of {length} sessions to {'validate on' if train.any() else 'train on'} in "
            f"{market.n_dates} sessions until {market.dates[-1].date()}; start later, or shorten context_length"
        )
    chosen = np.flatnonzero(validation)
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, _MAX_VALIDATION).astype(np.int64))]

    def take(rows: npt.NDArray[np.integer]) -> WindowExamples:
        return WindowExamples(
            market, starts[rows], columns[rows], context=context, patch_size=patch_size, input_scaling=input_scaling
        )

    return take(np.flatnonzero(train)), take(chosen)
