"""What the extractor analyst can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from alfred.analysts.settings import AnalystSettings, NetworkSettings
from alfred.learning.settings import FittingSettings

PartName = Literal["lstm", "conv", "attention", "transformer", "mlp", "compressing_mlp"]
HeadName = Literal["gaussian", "quantiles", "magnitude", "direction"]
LossName = Literal[
    "likelihood",
    "pinball",
    "squared",
    "huber",
    "signed_squared",
    "signed_huber",
    "sign_ratio",
    "cross_entropy",
    "focal",
]

VECTOR_PARTS = ("mlp", "compressing_mlp")
"""Parts that read the whole window at once and leave no sequence behind them."""

LOSSES: dict[HeadName, tuple[LossName, ...]] = {
    "gaussian": ("likelihood",),
    "quantiles": ("pinball",),
    "magnitude": ("squared", "huber", "signed_squared", "signed_huber", "sign_ratio"),
    "direction": ("cross_entropy", "focal"),
}
"""Losses by head, the default first."""


class ExtractorNetworkSettings(AnalystSettings):
    """What every analyst can be told whose network is put together from feature extractors and a head.

    Attributes:
        parts: Feature extractors, in order.
        combine: `concatenate`: each part reads the window and the features are joined. `layered`: each part reads what
            the one before it put out, such as convolution, attention, LSTM.
        size: Widths and depths of all parts.
        head: What is forecast: mean and spread (`gaussian`), `quantiles`, the mean alone (`magnitude`) or the
            probability of a rise (`direction`). The last two take the spread from the window's volatility times a
            factor that is measured on the validation part.
        loss: What is minimised; see `LOSSES`. The first that suits the head when left out.
        bound: Largest forecast of the magnitude head in spreads of the window, by tanh; None for no bound.
        huber_delta: Error in spreads of the window from which on the Huber losses are linear.
        sign_weight: Weight of the sign penalty in the signed losses.
        focal_gamma: Exponent of the focal loss.
        dropout: Share of the features that is dropped in training.
        signals: What the agent is offered: the `forecast`, the `embedding` (what the head reads of a window), or both.
        components: Principal components of the embedding that are offered; those of the windows that were trained on.
            Each refit has axes of its own.
    """

    parts: tuple[PartName, ...] = Field(default=("lstm", "conv"), min_length=1)
    combine: Literal["concatenate", "layered"] = "concatenate"
    size: Literal["small", "medium", "large"] = "small"
    head: HeadName = "gaussian"
    loss: LossName | None = None
    bound: float | None = Field(default=None, gt=0)
    huber_delta: float = Field(default=1.0, gt=0)
    sign_weight: float = Field(default=0.5, ge=0)
    focal_gamma: float = Field(default=2.0, ge=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    signals: Literal["forecast", "embedding", "both"] = "forecast"
    components: int = Field(default=4, ge=1)

    @property
    def offers_forecast(self) -> bool:
        """Whether the forecast is among the signals."""
        return self.signals != "embedding"

    @property
    def own_components(self) -> int:
        """Components that are offered as signals."""
        return 0 if self.signals == "forecast" else self.components

    @property
    def own_loss(self) -> LossName:
        """The loss, or the default of the head when none was given."""
        return self.loss or LOSSES[self.head][0]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.own_loss not in LOSSES[self.head]:
            raise ValueError(
                f"loss '{self.loss}' does not suit the head '{self.head}'; accepted: {', '.join(LOSSES[self.head])}"
            )
        early = [part for part in self.parts[:-1] if part in VECTOR_PARTS]
        if self.combine == "layered" and early:
            raise ValueError(
                f"part '{early[0]}' leaves no sequence for the part after it; put it last, or use combine: concatenate"
            )
        return self


class ExtractorSettings(ExtractorNetworkSettings, NetworkSettings):
    """Settings of `ExtractorAnalyst`: those of its network, and of the windows that it reads.

    Attributes:
        fitting: How to train.
    """

    kind: Literal["extractor"] = "extractor"
    fitting: FittingSettings = FittingSettings(
        steps=400, batch_size=512, learning_rate=2e-3, weight_decay=0.1, validate_every=25
    )
