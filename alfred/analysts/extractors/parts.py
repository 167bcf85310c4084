"""Feature extractors: each reads a window, or what another part made of it.

Axes legend: B batch, L bars, D channels, W width, E features. A part that keeps the sequence maps `[B, L, D]` to
`[B, L, W]`; one that does not maps it to `[B, E]`. None of them normalises over the batch, so that a window gives the
same answer in any batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

_KERNEL = 3
_N_HEADS = 4
_POSITION_SPREAD = 0.02  # as in the vision transformer of Dosovitskiy et al. (2021)


@dataclass(frozen=True)
class PartSize:
    """How large the parts are.

    Attributes:
        width: Channels of a sequence, W.
        depth: Layers of the LSTM, the convolution, the attention and the transformer.
        mlp: Widths of the layers of the MLP.
    """

    width: int
    depth: int
    mlp: tuple[int, ...]


SIZES = {
    "small": PartSize(16, 1, (32, 16)),
    "medium": PartSize(32, 2, (128, 64, 32)),
    "large": PartSize(64, 3, (256, 128, 64, 64)),
}


class LstmPart(nn.Module):
    """The states of an LSTM (Hochreiter and Schmidhuber, 1997), `[B, L, D] -> [B, L, W]`."""

    def __init__(self, n_channels: int, size: PartSize) -> None:
        """Build the layers."""
        super().__init__()
        self.lstm = nn.LSTM(n_channels, size.width, size.depth, batch_first=True)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the state of every bar."""
        states, _ = self.lstm(sequence)
        return torch.as_tensor(states)


class ConvolutionPart(nn.Module):
    """Causal dilated convolutions with residuals (Bai, Kolter and Koltun, 2018), `[B, L, D] -> [B, L, W]`.

    Layer k reads three bars that are 2^k apart, none of them later than the bar that it writes.
    """

    def __init__(self, n_channels: int, size: PartSize) -> None:
        """Build the layers."""
        super().__init__()
        self.embed = nn.Linear(n_channels, size.width)
        # One layer more than other parts have: it costs little and reaches seven bars at the smallest size.
        self.layers = nn.ModuleList(
            nn.Conv1d(size.width, size.width, _KERNEL, dilation=2**depth) for depth in range(size.depth + 1)
        )

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the features of every bar and of those before it."""
        x = self.embed(sequence).transpose(1, 2)
        for depth, layer in enumerate(self.layers):
            padded = nn.functional.pad(x, ((_KERNEL - 1) * 2**depth, 0))
            x = x + nn.functional.gelu(layer(padded))
        return torch.as_tensor(x.transpose(1, 2))


class AttentionPart(nn.Module):
    """Multi-head self-attention with learnt positions and a residual (Vaswani et al., 2017), `[B, L, D] -> [B, L, W]`.

    Every bar reads every other: all of them are past.
    """

    def __init__(self, n_channels: int, n_bars: int, size: PartSize) -> None:
        """Build the layers."""
        super().__init__()
        self.embed = nn.Linear(n_channels, size.width)
        self.positions = _make_positions(n_bars, size.width)
        self.layers = nn.ModuleList(
            nn.MultiheadAttention(size.width, _N_HEADS, batch_first=True) for _ in range(size.depth)
        )

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return every bar with what it read from the others."""
        x: torch.Tensor = self.embed(sequence) + self.positions
        for layer in self.layers:
            read, _ = layer(x, x, x, need_weights=False)
            x = x + read
        return x


class TransformerPart(nn.Module):
    """Pre-norm transformer blocks (Xiong et al., 2020) with learnt positions, `[B, L, D] -> [B, L, W]`."""

    def __init__(self, n_channels: int, n_bars: int, size: PartSize, dropout: float) -> None:
        """Build the layers."""
        super().__init__()
        self.embed = nn.Linear(n_channels, size.width)
        self.positions = _make_positions(n_bars, size.width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size.width, _N_HEADS, 2 * size.width, dropout, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(size.depth)
        )

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the features of every bar."""
        x: torch.Tensor = self.embed(sequence) + self.positions
        for layer in self.layers:
            x = layer(x)
        return x


class MlpPart(nn.Module):
    """Fully connected layers on the whole window at once, `[B, L, D] -> [B, E]`."""

    def __init__(self, n_inputs: int, widths: tuple[int, ...]) -> None:
        """Build the layers.

        Args:
            n_inputs: L times D.
            widths: Width of each layer; the last is E.
        """
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten(1)]
        for before, width in zip((n_inputs, *widths), widths, strict=False):
            layers += [nn.Linear(before, width), nn.GELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Return the features of the window."""
        return torch.as_tensor(self.layers(sequence))


def compress_widths(n_inputs: int, narrowest: int) -> tuple[int, ...]:
    """Return the widths of the compressing MLP: each layer is half of the last, down to `narrowest` or just above.

    Args:
        n_inputs: Values that are read.
        narrowest: No layer is narrower, save that there is always one.
    """
    widths = [max(n_inputs // 2, 1)]
    while widths[-1] // 2 >= narrowest:
        widths.append(widths[-1] // 2)
    return tuple(widths)


def make_part(name: str, n_channels: int, n_bars: int, size: PartSize, dropout: float) -> tuple[nn.Module, int, bool]:
    """Return a part by its name, the width of what it puts out, and whether that is a sequence.

    Args:
        name: A name of `alfred.analysts.extractors.settings.PartName`.
        n_channels: Channels of the sequence that it reads, D.
        n_bars: Bars of that sequence, L.
        size: How large it is.
        dropout: Of the transformer.
    """
    if name == "lstm":
        return LstmPart(n_channels, size), size.width, True
    if name == "conv":
        return ConvolutionPart(n_channels, size), size.width, True
    if name == "attention":
        return AttentionPart(n_channels, n_bars, size), size.width, True
    if name == "transformer":
        return TransformerPart(n_channels, n_bars, size, dropout), size.width, True
    n_inputs = n_channels * n_bars
    widths = size.mlp if name == "mlp" else compress_widths(n_inputs, size.width)
    return MlpPart(n_inputs, widths), widths[-1], False


def _make_positions(n_bars: int, width: int) -> nn.Parameter:
    return nn.Parameter(_POSITION_SPREAD * torch.randn(n_bars, width))
