"""Candles in, paths out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from alfred.analysts.aggregation import aggregate_samples
from alfred.analysts.kronos.candles import (
    Candles,
    Float32,
    Stamps,
    compute_stamp_parts,
    next_business_days,
    repair_candles,
    to_stamps,
)
from alfred.analysts.kronos.config import COLUMNS, Precision, check_pair, find_max_context
from alfred.analysts.kronos.decoding.engine import KronosEngine
from alfred.analysts.kronos.decoding.generate import History, TokenDecoder, generate_tokens
from alfred.analysts.kronos.decoding.sampling import KeyedSource, RandomSource, StreamSource, TokenChooser, mix_bits
from alfred.analysts.kronos.model import KronosModel
from alfred.analysts.kronos.tokenizer import KronosTokenizer
from alfred.analysts.windows import hash_moves
from alfred.errors import ConfigError, DataError
from alfred.typing import FloatArray

_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class KronosForecast:
    """Every path that was drawn.

    Axes: B series, S samples (those of the first temperature first), H horizon, six columns.

    Attributes:
        paths: Open, high, low, close, volume, amount, float32 `[B, S, H, 6]`.
        timestamps: Times of the coming bars, `[B, H]`.
        temperatures: Temperature of each sample, `[S]`.
        aggregation: How `aggregate` reduces the samples.
        seed: Seed of the draw.
        knowledge_cutoff: Last date that the weights may have seen, or None when that is not known.
        s1: Coarse ids, `[B, S, H]`.
        s2: Fine ids, `[B, S, H]`.
        anchors: What the tokens make of the last bar of each history, `[B, 6]`, when it was asked for.
        logits: Logits of both tokens, `[B, S, H, V1]` and `[B, S, H, V2]`, when they were asked for.
    """

    paths: Float32
    timestamps: Stamps
    temperatures: FloatArray
    aggregation: str
    seed: int
    knowledge_cutoff: pd.Timestamp | None
    s1: npt.NDArray[np.int64]
    s2: npt.NDArray[np.int64]
    anchors: Float32 | None = None
    logits: tuple[Float32, Float32] | None = None

    def aggregate(self) -> FloatArray:
        """Return one candle a bar, `[B, H, 6]`: the samples reduced by `aggregation`, column by column."""
        return aggregate_samples(self.paths, self.aggregation, axis=1)

    def quantiles(self, levels: Sequence[float]) -> FloatArray:
        """Return quantiles over the samples, `[B, Q, H, 6]`."""
        return np.moveaxis(np.quantile(self.paths, np.asarray(levels), axis=1), 0, 1)


class KronosForecaster:
    """A tokenizer and a model that belong together, ready to forecast.

    The weights are copied when it is built, in eval mode: dropout never acts on a forecast.
    """

    def __init__(
        self,
        tokenizer: KronosTokenizer,
        model: KronosModel,
        *,
        max_context: int | None = None,
        precision: Precision = "float32",
        knowledge_cutoff: pd.Timestamp | None = None,
    ) -> None:
        """Check the pair and lay out its weights.

        Args:
            tokenizer: The tokenizer.
            model: The model.
            max_context: Longest window in bars; that of the released model of this shape, else 512, when left out.
            precision: Of the model; the tokenizer is always float32, since a rounding error would flip bits.
            knowledge_cutoff: Last date that the weights may have seen.

        Raises:
            CheckpointError: The tokenizer does not belong to the model.
        """
        check_pair(tokenizer.settings, model.settings)
        self.max_context = find_max_context(model.settings, max_context)
        self.tokenizer = tokenizer.eval()
        self.engine = KronosEngine(model, precision)
        self.decoder = TokenDecoder(tokenizer)
        self.knowledge_cutoff = knowledge_cutoff
        self.device = tokenizer.embed.weight.device

    @torch.inference_mode()
    def forecast(
        self,
        candles: Candles,
        horizon: int | None = None,
        *,
        future: Sequence[pd.DatetimeIndex | pd.Series] | Stamps | None = None,
        samples: int = 1,
        temperature: float | Sequence[float] = 1.0,
        top_k: int = 0,
        top_p: float = 0.9,
        seed: int = 0,
        batch_invariant: bool = False,
        unit_free: bool = False,
        aggregation: str = "mean",
        repair: bool = False,
        with_anchors: bool = False,
        with_logits: bool = False,
    ) -> KronosForecast:
        """Draw paths of the coming bars.

        Args:
            candles: Histories, B series of any lengths. Scales come from all of a history, of which the network then
                reads the last `max_context` bars.
            horizon: Bars to forecast, H; the length of `future` when left out.
            future: Times of the coming bars, H for each series; the next weekdays when left out.
            samples: Paths for each temperature.
            temperature: One, or several that are drawn in the same pass; low ones stay near the likeliest path.
            top_k: Draw from the k likeliest tokens only; 1 is greedy, 0 turns it off. With it `top_p` is ignored.
            top_p: Draw from the likeliest tokens that hold this much probability. Below 1 it narrows every path.
            seed: Seed of the draw.
            batch_invariant: Draw each series by its own content, so that it is forecast alike in any batch, instead
                of by one stream in the order of the released code.
            unit_free: Scale candles so that prices in another unit are forecast alike, see `Candles.normalize`.
            aggregation: How `aggregate` reduces the samples, see `alfred.analysts.aggregation`.
            repair: Whether to put high and low around open and close, and to clip negative volumes. Off, candles come
                as the network draws them.
            with_anchors: Whether to decode the last bar of each history as well.
            with_logits: Whether to keep the logits of every step.

        Raises:
            DataError: The horizon does not fit, or the coming times do not follow the history.
            ConfigError: A setting is out of range.
        """
        times = _read_future(candles, horizon, future)
        n_series, n_steps = times.shape
        if not 0 < n_steps < self.max_context:
            raise DataError(f"horizon {n_steps} must be between 1 and {self.max_context - 1}, max_context less one")
        if samples < 1:
            raise ConfigError(f"samples {samples} must be at least 1")
        temperatures = np.repeat(np.atleast_1d(np.asarray(temperature, dtype=np.float64)), samples)
        rows = torch.from_numpy(np.tile(temperatures, n_series)).float().to(self.device)
        chance: RandomSource = StreamSource(seed, self.device)
        if batch_invariant:
            chance = KeyedSource(_make_row_keys(candles, seed, len(temperatures)))
        scaled, means, scales = candles.normalize(unit_free=unit_free)
        history = self.encode(candles, scaled)
        tokens = generate_tokens(
            self.engine,
            history,
            torch.from_numpy(compute_stamp_parts(times)).to(self.device),
            TokenChooser(rows, top_k, top_p, chance),
            n_samples=len(temperatures),
            max_context=self.max_context,
            with_logits=with_logits,
        )
        shape = (n_series, len(temperatures), n_steps)
        z, last = self.decoder.decode(history, tokens, self.max_context, with_anchor=with_anchors)
        paths = z.cpu().numpy().reshape(*shape, len(COLUMNS)) * scales[:, None, None] + means[:, None, None]
        logits = None
        if tokens.logits is not None:
            first, second = (part.cpu().numpy().reshape(*shape, -1) for part in tokens.logits)
            logits = (first, second)
        return KronosForecast(
            paths=repair_candles(paths) if repair else paths,
            timestamps=times,
            temperatures=temperatures,
            aggregation=aggregation,
            seed=seed,
            knowledge_cutoff=self.knowledge_cutoff,
            s1=tokens.s1.cpu().numpy().reshape(shape),
            s2=tokens.s2.cpu().numpy().reshape(shape),
            anchors=None if last is None else last.cpu().numpy() * scales + means,
            logits=logits,
        )

    def encode(self, candles: Candles, scaled: Float32) -> History:
        """Tokenise whole histories, then align them at their last bar and keep what the network reads."""
        # The encoder is causal, so that what stands after the end of a shorter history changes nothing before it.
        s1, s2 = self.tokenizer.encode(torch.from_numpy(scaled).to(self.device))
        stamps = torch.from_numpy(compute_stamp_parts(candles.timestamps)).to(self.device)
        longest = scaled.shape[1]
        shift = torch.from_numpy(longest - candles.lengths).to(self.device)
        padding = None
        if bool(shift.any()):
            index = torch.arange(longest, device=self.device) - shift[:, None]
            padding, index = index < 0, index.clamp_min(0)
            s1, s2 = s1.gather(1, index), s2.gather(1, index)
            stamps = stamps.gather(1, index[:, :, None].expand_as(stamps))
        return History(s1, s2, stamps, padding).drop(max(longest - self.max_context, 0))


def _read_future(
    candles: Candles, horizon: int | None, future: Sequence[pd.DatetimeIndex | pd.Series] | Stamps | None
) -> Stamps:
    if future is None:
        if horizon is None or horizon < 1:
            raise DataError(f"horizon is {horizon}: give a positive horizon, or the times of the coming bars")
        return next_business_days(candles.last_times, horizon)
    rows = [to_stamps(row) for row in future]
    lengths = {len(row) for row in rows}
    if len(rows) != len(candles.lengths) or len(lengths) != 1 or (horizon or len(rows[0])) != len(rows[0]):
        raise DataError(
            f"the coming times have lengths {sorted(lengths)} for {len(rows)} series, but there are "
            f"{len(candles.lengths)} series and the horizon is {horizon}; give the same number of times to each"
        )
    times = np.stack(rows)
    whole = np.concatenate([candles.last_times[:, None], times], axis=1)
    late = ~(whole[:, 1:] > whole[:, :-1])
    if late.any():
        i, t = np.argwhere(late)[0]
        raise DataError(
            f"the coming times of series {i} do not increase: {whole[i, t]} is followed by {whole[i, t + 1]}; they "
            "must start after the last bar of the history"
        )
    return times


def _make_row_keys(candles: Candles, seed: int, n_samples: int) -> npt.NDArray[np.uint64]:
    """Return a key for each sample of each series, made of the seed, the times and `hash_moves`, `[B * S]`."""
    keys = np.empty((len(candles.lengths), n_samples), dtype=np.uint64)
    numbers = mix_bits(np.arange(n_samples, dtype=np.uint64) + np.uint64(1))
    for i, length in enumerate(candles.lengths):
        # Without the amount: a product follows from the others.
        bars = candles.values[i, :length, :-1].astype(np.float64)
        moves = np.diff(bars, axis=0) / np.maximum(np.maximum(np.abs(bars[1:]), np.abs(bars[:-1])), _TINY)
        content = hash_moves(moves, seed, digest_size=8)
        content.update(candles.timestamps[i, :length].tobytes())
        keys[i] = np.uint64(int.from_bytes(content.digest(), "little")) ^ numbers
    return keys.ravel()
