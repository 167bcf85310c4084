"""Sizes of a tokenizer and a model, and what is known about the released ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from alfred.errors import CheckpointError
from alfred.settings import Settings

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
"""What a candle holds, in the order of the network's inputs and outputs."""

Probability = Field(default=0.0, ge=0, lt=1)


class NetworkConfig(Settings):
    """What tokenizer and model share; the names are those of the released `config.json` files."""

    s1_bits: int = Field(ge=1, le=16)
    s2_bits: int = Field(ge=1, le=16)
    d_model: int = Field(ge=4)
    n_heads: int = Field(ge=1)
    ff_dim: int = Field(ge=1)
    ffn_dropout_p: float = Probability
    attn_dropout_p: float = Probability
    resid_dropout_p: float = Probability

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.d_model % self.n_heads or (self.d_model // self.n_heads) % 2:
            raise ValueError(f"d_model {self.d_model} over n_heads {self.n_heads} must be an even whole number")
        return self


class TokenizerConfig(NetworkConfig):
    """Sizes of the tokenizer; the defaults train in seconds on one core.

    Attributes:
        d_in: Columns of a candle.
        d_model: Width.
        n_heads: Attention heads.
        ff_dim: Hidden width of the feed-forward layers.
        n_enc_layers: Layers before the bits; one less is built, as released.
        n_dec_layers: Layers after the bits; one less is built, as released.
        s1_bits: Bits of the coarse token.
        s2_bits: Bits of the fine token; decoding needs as many as `s1_bits`.
        ffn_dropout_p: Dropout after the feed-forward layers.
        attn_dropout_p: Dropout of attention weights.
        resid_dropout_p: Dropout after the attention.
        beta: Weight of the commitment loss.
        gamma0: Weight of the entropy of a single token (low is confident).
        gamma: Weight of the entropy of the code book (high is varied).
        zeta: Weight of both entropies.
        group_size: Read by nothing here; it tells the two released tokenizers apart.
    """

    d_in: int = Field(default=len(COLUMNS), ge=1)
    d_model: int = 32
    n_heads: int = 2
    ff_dim: int = 64
    n_enc_layers: int = Field(default=2, ge=1)
    n_dec_layers: int = Field(default=2, ge=1)
    s1_bits: int = 8
    s2_bits: int = 8
    beta: float = 0.05
    gamma0: float = 1.0
    gamma: float = 1.1
    zeta: float = 0.05
    group_size: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _check_bits(self) -> Self:
        if self.s1_bits != self.s2_bits:
            raise ValueError(f"decoding needs s1_bits {self.s1_bits} and s2_bits {self.s2_bits} to be equal")
        return self

    @property
    def n_bits(self) -> int:
        """Bits of a token pair."""
        return self.s1_bits + self.s2_bits


class ModelConfig(NetworkConfig):
    """Sizes of the autoregressive model; the defaults train in seconds on one core.

    Attributes:
        s1_bits: Bits of the coarse token.
        s2_bits: Bits of the fine token.
        d_model: Width.
        n_heads: Attention heads (the dependency layer always has four).
        ff_dim: Hidden width of the feed-forward layers.
        n_layers: Transformer layers.
        learn_te: Whether the tables of minute, hour, weekday, day and month are trained.
        ffn_dropout_p: Dropout after the feed-forward layers.
        attn_dropout_p: Dropout of attention weights.
        resid_dropout_p: Dropout after the attention.
        token_dropout_p: Dropout of the input embeddings.
    """

    s1_bits: int = 8
    s2_bits: int = 8
    n_layers: int = Field(default=2, ge=1)
    d_model: int = 32
    n_heads: int = 2
    ff_dim: int = 64
    token_dropout_p: float = Probability
    learn_te: bool = True

    @model_validator(mode="after")
    def _check_dependency_heads(self) -> Self:
        if self.d_model % 8:
            raise ValueError(f"d_model {self.d_model} must be a multiple of 8 for the 4 heads of the dependency layer")
        return self


@dataclass(frozen=True)
class Release:
    """A released model.

    Attributes:
        tokenizer: Hub name of the tokenizer that it was trained with.
        group_size: `group_size` of that tokenizer, the only key in which the two released tokenizers differ.
        max_context: Longest context that it was trained on, in bars.
        shape: `d_model`, `n_layers`, `n_heads` and `ff_dim`, by which its weights are known in a local folder.
    """

    tokenizer: str
    group_size: int
    max_context: int
    shape: tuple[int, int, int, int]


_BASE, _LONG = "NeoQuasar/Kronos-Tokenizer-base", "NeoQuasar/Kronos-Tokenizer-2k"
RELEASES: dict[str, Release] = {
    "NeoQuasar/Kronos-mini": Release(_LONG, 5, 2048, (256, 4, 4, 512)),
    "NeoQuasar/Kronos-small": Release(_BASE, 4, 512, (512, 8, 8, 1024)),
    "NeoQuasar/Kronos-base": Release(_BASE, 4, 512, (832, 12, 16, 2048)),
}
REVISIONS: dict[str, str] = {
    "NeoQuasar/Kronos-mini": "f4e68697d9d5aed55cef5c96aabc3376bcad9f81",
    "NeoQuasar/Kronos-small": "901c26c1332695a2a8f243eb2f37243a37bea320",
    "NeoQuasar/Kronos-base": "2b554741eca47781b64468546e77fef3e85130e6",
    _LONG: "26966d0035065a0cae0ebad7af8ece35bc1fb51c",
    _BASE: "0e0117387f39004a9016484a186a908917e22426",
}
RELEASE_CUTOFF = "2024-05-31"
"""Last date that the released weights have seen: training data end in February 2024 and the validation data that chose
the checkpoints in May 2024, says the author (github.com/shiyu-coder/Kronos/issues/204)."""
DEFAULT_MAX_CONTEXT = 512


def find_release(config: ModelConfig) -> Release | None:
    """Return the released model that has this shape, or None."""
    shape = (config.d_model, config.n_layers, config.n_heads, config.ff_dim)
    return next((release for release in RELEASES.values() if release.shape == shape), None)


def find_max_context(config: ModelConfig, asked: int | None = None) -> int:
    """Return the longest window in bars: what is asked for, or that of the released model of this shape, or 512."""
    release = find_release(config)
    return asked or (release.max_context if release else DEFAULT_MAX_CONTEXT)


def check_pair(tokenizer: TokenizerConfig, model: ModelConfig) -> None:
    """Refuse a tokenizer that does not belong to the model.

    The released tokenizers share their vocabulary, so that a wrong pair would run and forecast nonsense: a model with
    the shape of a released one must meet the tokenizer that it was released with.

    Raises:
        CheckpointError: The two do not belong together.
    """
    ours, theirs = (tokenizer.s1_bits, tokenizer.s2_bits), (model.s1_bits, model.s2_bits)
    if ours != theirs:
        raise CheckpointError(
            f"the tokenizer makes tokens of {ours[0]} + {ours[1]} bits, but the model reads {theirs[0]} + {theirs[1]}: "
            "they do not belong together; load the tokenizer that the model was trained with"
        )
    release = find_release(model)
    if release and tokenizer.group_size != release.group_size:
        raise CheckpointError(
            f"the model has the shape of a released one that belongs to {release.tokenizer} (group_size "
            f"{release.group_size}), but this tokenizer has group_size {tokenizer.group_size}; load {release.tokenizer}"
        )


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al., 2021).

    Attributes:
        rank: Rank of the update of each matrix.
        alpha: The update is scaled by alpha / rank.
        dropout: Dropout of the adapters' input.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)


Precision = Literal["float32", "bfloat16", "int8"]
