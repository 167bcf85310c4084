"""Parts put together: beside one another or on top of one another, with a head."""

from __future__ import annotations

import torch
from torch import nn

from alfred.analysts.extractors.heads import make_head
from alfred.analysts.extractors.parts import SIZES, make_part
from alfred.analysts.extractors.settings import ExtractorNetworkSettings
from alfred.errors import ConfigError

_LEAST_SHARE = 1e-6


class ExtractorNetwork(nn.Module):
    """Feature extractors and a head, `[B, L, F] -> [B, H, P]`.

    A sequence becomes features as its last bar and the mean of all bars. Features are joined and normalised before the
    head (Ba, Kiros and Hinton, 2016), which makes parts of different widths and sizes learn at one rate.
    """

    centre: torch.Tensor
    axes: torch.Tensor

    def __init__(self, settings: ExtractorNetworkSettings, n_bars: int, n_channels: int) -> None:
        """Build parts and head.

        Args:
            settings: Parts, combination, size and head.
            n_bars: Bars of a sequence, L.
            n_channels: Channels of a bar, F.
        """
        super().__init__()
        self.layered, size = settings.combine == "layered", SIZES[settings.size]
        parts, n_features = [], 0
        for position, name in enumerate(settings.parts):
            part, width, is_sequence = make_part(name, n_channels, n_bars, size, settings.dropout)
            parts.append(part)
            if self.layered:
                n_channels = width
            if not self.layered or position == len(settings.parts) - 1:
                n_features += 2 * width if is_sequence else width
        self.parts = nn.ModuleList(parts)
        self.n_features = n_features
        n_components = settings.own_components
        # Normalised features sum to zero, so that one of them follows from the others.
        if n_components >= n_features:
            raise ConfigError(
                f"components is {n_components}, but these parts make {n_features} features, of which {n_features - 1} "
                f"are free: ask for {n_features - 1} at most, or choose larger parts"
            )
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("axes", torch.zeros(n_features, n_components))
        self.norm = nn.LayerNorm(n_features)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = make_head(settings, n_features)

    def embed(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the features before the head, `[B, E]`, of windows `[B, L, F]`."""
        if self.layered:
            x = windows
            for part in self.parts:
                x = part(x)
            features = _pool(x)
        else:
            features = torch.cat([_pool(part(windows)) for part in self.parts], dim=1)
        return torch.as_tensor(self.norm(features))

    def set_axes(self, embeddings: torch.Tensor) -> int:
        """Take the principal components of embeddings `[E', E]`, each scaled to unit variance, as axes of `reduce`.

        A component points where its largest loading is positive, so that its sign is no matter of chance. One that
        holds less than a millionth of the variance of the first is rounding, and stays at zero.

        Returns:
            How many components hold anything.
        """
        double = embeddings.double()
        centred = double - double.mean(0)
        covariance = centred.T @ centred / len(centred)
        values, vectors = torch.linalg.eigh(covariance)
        best = values.argsort(descending=True)[: self.axes.shape[1]]
        vectors, values = vectors[:, best], values[best]
        held = values > _LEAST_SHARE * values[0]
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        self.centre.copy_(double.mean(0))
        self.axes.copy_(torch.where(held, vectors * largest.sign() / torch.where(held, values, 1.0).sqrt(), 0.0))
        return int(held.sum())

    def reduce(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the components of the features, `[B, own_components]`, of windows `[B, L, F]`."""
        return (self.embed(windows) - self.centre) @ self.axes

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return the numbers of the head."""
        return torch.as_tensor(self.head(self.dropout(self.embed(windows))))


def _pool(x: torch.Tensor) -> torch.Tensor:
    """Return features `[B, E]` as they are, and of a sequence `[B, L, W]` its last bar and its mean, `[B, 2 W]`."""
    return x if x.ndim == 2 else torch.cat([x[:, -1], x.mean(1)], dim=1)
