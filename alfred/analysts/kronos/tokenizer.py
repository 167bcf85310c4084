"""The tokenizer: a candle becomes a coarse and a fine token, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from alfred.analysts.kronos.config import TokenizerConfig
from alfred.analysts.kronos.layers import initialize, make_blocks
from alfred.analysts.kronos.quantizer import compute_bits, make_codes, pack_bits, quantize, unpack_bits
from alfred.errors import DataError


@dataclass(frozen=True)
class TokenizerOutput:
    """One pass through the tokenizer, for training.

    Attributes:
        coarse: Reconstruction from the coarse bits alone, `[B, T, 6]`.
        full: Reconstruction from all bits, `[B, T, 6]`.
        quantizer_loss: Commitment and entropy terms, a scalar.
    """

    coarse: torch.Tensor
    full: torch.Tensor
    quantizer_loss: torch.Tensor


class KronosTokenizer(nn.Module):
    """Autoencoder with a binary bottleneck (Shi et al., 2025, arXiv 2508.02739).

    Encoder and decoder are causal: the tokens of a bar do not depend on later bars. Axes: B batch, T bars.

    Attributes:
        settings: Its sizes.
    """

    def __init__(self, settings: TokenizerConfig, generator: torch.Generator | None = None) -> None:
        """Build the network with fresh weights.

        Args:
            settings: Sizes.
            generator: Source of the fresh weights; seeded with 0 when left out.
        """
        super().__init__()
        self.settings = settings
        width = settings.d_model
        self.embed = nn.Linear(settings.d_in, width)
        self.encoder = make_blocks(settings, settings.n_enc_layers - 1)
        self.decoder = make_blocks(settings, settings.n_dec_layers - 1)
        self.quant_embed = nn.Linear(width, settings.n_bits)
        self.post_quant_embed_pre = nn.Linear(settings.s1_bits, width)
        self.post_quant_embed = nn.Linear(settings.n_bits, width)
        self.head = nn.Linear(width, settings.d_in)
        initialize(self, width, generator or torch.Generator().manual_seed(0))

    def compute_presign(self, x: torch.Tensor) -> torch.Tensor:
        """Return the vectors whose signs are the bits, `[B, T, 6] -> [B, T, n_bits]`."""
        hidden = self.embed(x)
        for block in self.encoder:
            hidden = block(hidden)
        result: torch.Tensor = self.quant_embed(hidden)
        return result

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the coarse and the fine token of each bar.

        Args:
            x: Normalised candles, `[B, T, 6]`.

        Returns:
            Two int64 tensors `[B, T]`.
        """
        bits = compute_bits(self.compute_presign(x))
        return pack_bits(bits[..., : self.settings.s1_bits]), pack_bits(bits[..., self.settings.s1_bits :])

    def embed_codes(self, s1: torch.Tensor, s2: torch.Tensor) -> torch.Tensor:
        """Return the decoder's input for token pairs, `[B, T] -> [B, T, d]`.

        Raises:
            DataError: An id lies outside its vocabulary, as an id that packs both tokens into one number does.
        """
        check_ids(s1, self.settings.s1_bits, "s1")
        check_ids(s2, self.settings.s2_bits, "s2")
        bits = torch.cat([unpack_bits(s1, self.settings.s1_bits), unpack_bits(s2, self.settings.s2_bits)], dim=-1)
        result: torch.Tensor = self.post_quant_embed(make_codes(bits, self.settings.n_bits))
        return result

    def decode(self, s1: torch.Tensor, s2: torch.Tensor) -> torch.Tensor:
        """Return the normalised candles of token pairs, `[B, T] -> [B, T, 6]`.

        Raises:
            DataError: An id lies outside its vocabulary.
        """
        return self._run_decoder(self.embed_codes(s1, s2))

    def forward(self, x: torch.Tensor) -> TokenizerOutput:
        """Reconstruct normalised candles, `[B, T, 6]`, from their coarse bits and from all bits."""
        codes, loss = quantize(self.compute_presign(x), self.settings)
        coarse = self._run_decoder(self.post_quant_embed_pre(codes[..., : self.settings.s1_bits]))
        return TokenizerOutput(coarse, self._run_decoder(self.post_quant_embed(codes)), loss)

    def compute_loss(self, x: torch.Tensor) -> torch.Tensor:
        """Return half the sum of both reconstruction errors and the quantiser's loss, a scalar."""
        output = self(x)
        errors = functional.mse_loss(output.coarse, x) + functional.mse_loss(output.full, x)
        result: torch.Tensor = (errors + output.quantizer_loss) / 2
        return result

    def _run_decoder(self, hidden: torch.Tensor) -> torch.Tensor:
        for block in self.decoder:
            hidden = block(hidden)
        result: torch.Tensor = self.head(hidden)
        return result


def check_ids(ids: torch.Tensor, bits: int, name: str) -> None:
    """Refuse ids outside a vocabulary of `2 ** bits`.

    Raises:
        DataError: An id is negative or too large.
    """
    if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= 2**bits):
        worst = int(ids.max()) if int(ids.max()) >= 2**bits else int(ids.min())
        raise DataError(
            f"{name} holds the id {worst}, outside [0, {2**bits}): one number for both tokens is refused, since its "
            "bit order is ambiguous; give the coarse and the fine id apart, as `encode` returns them"
        )
