"""A small random pair and random candles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alfred.analysts.kronos.candles import Candles
from alfred.analysts.kronos.checkpoint import KronosPair, make_pair
from alfred.analysts.kronos.config import ModelConfig, TokenizerConfig


def make_small_pair(dropout: float = 0.0, seed: int = 0) -> KronosPair:
    bits = {"s1_bits": 5, "s2_bits": 5}
    return make_pair(
        TokenizerConfig(**bits, d_model=16, ff_dim=24, n_enc_layers=3, n_dec_layers=3, resid_dropout_p=dropout),
        ModelConfig(**bits, d_model=24, ff_dim=40, n_heads=2, n_layers=3, ffn_dropout_p=dropout),
        seed,
    )


def make_wide_pair() -> KronosPair:
    """Return a pair as wide as the smallest released one, whose products go the way of large ones."""
    bits = {"s1_bits": 5, "s2_bits": 5}
    return make_pair(
        TokenizerConfig(**bits, d_model=256, ff_dim=512, n_enc_layers=2, n_dec_layers=3),
        ModelConfig(**bits, d_model=256, ff_dim=512, n_heads=4, n_layers=2),
        0,
    )


def make_frame(n_bars: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, n_bars)))
    opened = np.concatenate([close[:1], close[:-1]])
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) * 0.99,
            "close": close,
            "volume": rng.uniform(1e3, 5e3, n_bars),
        },
        index=pd.bdate_range("2021-01-04", periods=n_bars),
    )


def make_batch(*lengths: int) -> Candles:
    return Candles.from_frames([make_frame(length, seed) for seed, length in enumerate(lengths)])
