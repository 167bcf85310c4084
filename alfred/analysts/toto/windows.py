"""Prices as Toto wants them, to forecast from and to learn from.

Toto 1.0 adds 0.1 to every variance, so daily returns would reach it as a flat line. What it is fed are log prices times
100 counted from the last close (a daily move is about 1), or log prices in units of the window's own daily volatility.
What was not observed is filled forward and marked; the context is cut, not padded, to whole patches, because padding
changes the forecast. The price is the first variate of a window; covariates follow it (`covariates.py`).

Axes legend: B batch, C context length, V variates, T dates, N symbols, P steps of a patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from alfred.analysts.toto.covariates import fill_forward, gather_covariates, transform_covariates
from alfred.analysts.windows import compute_window_volatility
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.data.point_in_time.members import find_members
from alfred.errors import ConfigError, DataError
from alfred.typing import FloatArray

PERCENT = 100.0
_MAX_VALIDATION = 512


@dataclass(frozen=True)
class Windows:
    """Windows in the units of the network.

    Attributes:
        series: The price and its covariates, `[B, V, C]` float32; the last close is 0.
        mask: True where observed, `[B, V, C]`.
        unit: Log return of one unit of the price, `[B]`.
    """

    series: torch.Tensor
    mask: torch.Tensor
    unit: FloatArray


def prepare_windows(contexts: Contexts, input_scaling: str, patch_size: int, covariates: Sequence[str] = ()) -> Windows:
    """Turn contexts into windows of whole patches.

    Args:
        contexts: Windows of closes and covariates.
        input_scaling: `log_price` or `standardised`.
        patch_size: P.
        covariates: Fields that follow the price as further variates.

    Raises:
        ConfigError: The context is shorter than a patch.
        DataError: A covariate is not in the contexts.
    """
    if contexts.context_length < patch_size:
        raise ConfigError(
            f"context_length {contexts.context_length} is shorter than a patch of {patch_size} sessions; lengthen it"
        )
    close = contexts.field("close")[:, contexts.context_length % patch_size :]
    with np.errstate(invalid="ignore"):
        logs, observed = fill_forward(np.log(close.astype(np.float64)))
    unit = compute_window_volatility(contexts) if input_scaling == "standardised" else np.full(len(close), 1 / PERCENT)
    series = np.where(observed.cumsum(axis=1) > 0, (logs - logs[:, -1:]) / unit[:, None], 0.0)[:, None]
    mask = observed[:, None]
    if covariates:
        fields = np.stack([contexts.field(name) for name in covariates], axis=2)[:, -close.shape[1] :]
        further, seen = transform_covariates(fields, covariates, unit)
        series, mask = np.concatenate((series, further), axis=1), np.concatenate((mask, seen), axis=1)
    return Windows(
        series=torch.from_numpy(series.astype(np.float32)),
        mask=torch.from_numpy(mask),
        unit=unit,
    )


class WindowExamples:
    """Windows of a market to learn from, cut out when they are asked for.

    A window is a context and one patch to forecast. Prices are counted from the last close of the context, in units
    that only the context has a say in. Covariates end with the context: behind it they are unobserved zeros.
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
        covariates: Sequence[str] = (),
    ) -> None:
        """Store the panel and where each window lies.

        Args:
            market: The market.
            starts: First row of each window, `[B]`.
            columns: Symbol of each window, `[B]`.
            context: Sessions of the context, whole patches.
            patch_size: P.
            input_scaling: `log_price` or `standardised`.
            covariates: Fields that follow the price as further variates.
        """
        with np.errstate(invalid="ignore"):
            logs, observed = fill_forward(np.log(np.where(market.tradable, market.close, np.nan).T.astype(np.float64)))
        self._logs, self._observed = torch.from_numpy(PERCENT * logs), torch.from_numpy(observed)
        self._starts, self._columns = torch.from_numpy(starts), torch.from_numpy(columns)
        self._context, self._input_scaling = context, input_scaling
        self._steps = torch.arange(context + patch_size)
        self._names, self._covariates = tuple(covariates), gather_covariates(market, covariates)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._starts)

    def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return windows in the units of the network and what of them was observed, `[B, V, C + P]` each."""
        columns = self._columns[rows][:, None]
        steps = self._starts[rows][:, None] + self._steps
        logs, mask = self._logs[columns, steps], self._observed[columns, steps]
        past = logs[:, : self._context]
        series = logs - past[:, -1:]
        unit = np.full(len(series), 1 / PERCENT)
        if self._input_scaling == "standardised":
            # One basis point, as in `compute_window_volatility`, here in per cent.
            volatility = past.diff(dim=1).square().mean(1, keepdim=True).sqrt().clamp(min=1e-4 * PERCENT)
            series = series / volatility
            unit = volatility[:, 0].numpy() / PERCENT
        series, mask = series.float()[:, None], mask[:, None]
        return self._add_covariates(series, mask, columns, steps, unit) if self._names else (series, mask)

    def _add_covariates(
        self, series: torch.Tensor, mask: torch.Tensor, columns: torch.Tensor, steps: torch.Tensor, unit: FloatArray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        values = self._covariates[columns.numpy(), steps[:, : self._context].numpy()]
        further, seen = transform_covariates(values, self._names, unit)
        future = (0, series.shape[-1] - self._context)
        return (
            torch.cat((series, functional.pad(torch.from_numpy(further).float(), future)), dim=1),
            torch.cat((mask, functional.pad(torch.from_numpy(seen), future, value=False)), dim=1),
        )


def split_windows(
    market: Market,
    *,
    context: int,
    patch_size: int,
    input_scaling: str,
    validation_fraction: float,
    covariates: Sequence[str] = (),
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
        covariates: Fields that follow the price as further variates.

    Raises:
        DataError: One of the two would be empty, or the market lacks a covariate.
    """
    length = context + patch_size
    split = min(int(market.n_dates * (1 - validation_fraction)), market.n_dates - patch_size)
    first = np.arange(max(market.n_dates - length + 1, 0))
    members = find_members(market)[first + context - 1]
    starts, columns = np.nonzero(market.tradable[first] & market.tradable[first + length - 1] & members)
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
            market,
            starts[rows],
            columns[rows],
            context=context,
            patch_size=patch_size,
            input_scaling=input_scaling,
            covariates=covariates,
        )

    return take(np.flatnonzero(train)), take(chosen)
