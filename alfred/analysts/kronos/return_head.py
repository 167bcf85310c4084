"""A head for returns: the last bar of the window gives the distribution of the forward return, without any tokens.

Tokens round a candle, and a state that was trained to foretell tokens hardly knows the last move: the head reads the
last moves themselves beside it. The loss of the token heads spends the model on whatever a candle is made of; this one
is that of the return itself. The tokenizer stays as it is, and so do both token heads.

Axes legend: B batch, T bars of history, H horizons, K last moves, P numbers that describe one horizon, Q quantile
levels, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from alfred.analysts.extractors.heads import GaussianHead, Head, MagnitudeHead, QuantileHead
from alfred.analysts.kronos.candles import Candles, Float32
from alfred.analysts.kronos.checkpoint import MODEL_FOLDER
from alfred.analysts.kronos.config import COLUMNS
from alfred.analysts.kronos.forecaster import KronosForecaster
from alfred.analysts.kronos.settings import KronosBaseSettings, ReturnHeadSettings
from alfred.analysts.networks.base import to_array
from alfred.analysts.windows import CLIP, scale_by_horizon
from alfred.data.files import compute_checksum
from alfred.errors import CheckpointError
from alfred.learning.hub import WEIGHTS_FILE
from alfred.learning.losses import compute_huber_loss
from alfred.learning.tensors import load_state, read_tensors, write_tensors
from alfred.typing import FloatArray

HEAD_FILE = "return_head.safetensors"
_CLOSE = COLUMNS.index("close")
_LEAST_VOLATILITY = 1e-4
_ALIGNED = 16  # float32 numbers in a line of the cache


def make_head(returns: ReturnHeadSettings, width: int, n_horizons: int) -> Head:
    """Return the head that the settings ask for, at zero: no mean, and a normal with the window's own spread."""
    n_features = width + returns.moves
    if returns.loss == "likelihood":
        return GaussianHead(n_features, n_horizons)
    if returns.loss == "pinball":
        return QuantileHead(n_features, n_horizons)
    return MagnitudeHead(n_features, n_horizons, lambda p, y: compute_huber_loss(p, y, returns.huber_delta), None)


@torch.no_grad()
def forecast_returns(
    forecaster: KronosForecaster, head: Head, candles: Candles, horizons: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Return mean `[B, H]` and quantiles `[B, H, Q]` of the log return of each series, from one pass."""
    scaled, _, _ = candles.normalize(unit_free=True)
    history = forecaster.encode(candles, scaled)
    session = forecaster.engine.start(
        history.s1, history.s2, history.stamps, n_rows=len(history.s1), capacity=0, padding=history.padding
    )
    state, moves = session.state.float(), compute_moves(candles)
    recent = scale_last_moves(moves, head.layer.in_features - state.shape[1])
    features = torch.cat([state, torch.from_numpy(recent).to(state.device)], dim=1)
    mean, quantiles = (to_array(part) for part in head.describe(_apply(head, features)))
    scale = scale_by_horizon(measure_spread(moves), horizons)
    return mean * scale, quantiles * scale[:, :, None]


def _apply(head: Head, features: torch.Tensor) -> torch.Tensor:
    """Return what the head does, with zeros after the features: the product rounds unaligned rows by their place."""
    layer, zeros = head.layer, (0, -features.shape[1] % _ALIGNED)
    numbers = functional.linear(functional.pad(features, zeros), functional.pad(layer.weight, zeros), layer.bias)
    return numbers.reshape(len(features), *head.shape)


def compute_moves(candles: Candles) -> FloatArray:
    """Return the log returns from bar to bar of each series, the last in the last column, `[B, T - 1]`.

    What lies before a shorter history is NaN. The bar after a gap counts as the next one here, as it does in all that
    the network reads.
    """
    length = candles.values.shape[1]
    index = np.arange(length) - (length - candles.lengths)[:, None]
    closes = np.take_along_axis(candles.values[:, :, _CLOSE].astype(np.float64), np.maximum(index, 0), axis=1)
    moves: FloatArray = np.diff(np.log(closes), axis=1)
    moves[index[:, :-1] < 0] = np.nan
    return moves


def scale_last_moves(moves: FloatArray, n: int) -> Float32:
    """Return the last `n` of moves `[B, T]` in their spread, clipped, `[B, n]`; zero where there was none."""
    scaled = np.nan_to_num(np.clip(moves / measure_spread(moves)[:, None], -CLIP, CLIP))
    padded = np.pad(scaled, ((0, 0), (n, 0)))
    return padded[:, padded.shape[1] - n :].astype(np.float32)


def measure_spread(moves: FloatArray) -> FloatArray:
    """Return the root mean square of moves `[B, T]`, of those that are numbers, at least one basis point."""
    return np.asarray(np.maximum(np.sqrt(np.nanmean(moves**2, axis=1)), _LEAST_VOLATILITY))


def save_head(folder: Path, head: Head, settings: KronosBaseSettings) -> None:
    """Write a head beside its pair, which `save_pair` wrote into the same folder before."""
    write_tensors(folder / HEAD_FILE, head.state_dict(), _describe(folder, settings))


def load_head(folder: Path, width: int, settings: KronosBaseSettings, returns: ReturnHeadSettings) -> Head:
    """Read what `save_head` wrote.

    Args:
        folder: Folder of the analyst.
        width: Width of the transformer.
        settings: Those of the analyst.
        returns: Those of the head.

    Raises:
        CheckpointError: The file is missing, damaged or of an earlier version, or belongs to another model, other
            horizons or another loss.
    """
    tensors, note = read_tensors(folder / HEAD_FILE)
    if "moves" not in note:
        raise CheckpointError(
            f"{folder / HEAD_FILE} was saved before heads read the last moves, and this version reads no such head; "
            "fit the analyst again, or load it with the version that saved it"
        )
    for name, value in _describe(folder, settings).items():
        if note.get(name) != value:
            raise CheckpointError(
                f"{folder / HEAD_FILE} was written with {name}={note.get(name)}, but what stands beside it has "
                f"{name}={value}; load the analyst from the folder in which it was saved"
            )
    head = make_head(returns, width, len(settings.horizons))
    load_state(head, tensors, source=folder / HEAD_FILE)
    return head.to(settings.device).eval()


def _describe(folder: Path, settings: KronosBaseSettings) -> dict[str, object]:
    returns = settings.own_return_head
    return {
        "loss": None if returns is None else returns.loss,
        "moves": None if returns is None else returns.moves,
        "horizons": list(settings.horizons),
        "model_sha256": compute_checksum(folder / MODEL_FOLDER / WEIGHTS_FILE),
    }
