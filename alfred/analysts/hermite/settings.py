"""What the Hermite analyst can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from alfred.analysts.settings import NetworkSettings
from alfred.learning.settings import FittingSettings


class HermiteSettings(NetworkSettings):
    """Settings of `HermiteAnalyst`.

    Attributes:
        context_length: Bars in a window, C. Every bar has weights of its own: long windows need long histories.
        polynomials: `probabilist` (He_n, orthogonal under the standard normal) or `physicist` (H_n, which swings
            faster by the square root of two).
        degree: Highest degree of the series.
        maps_a: Parallel maps of the first layer, each with a series of its own.
        maps_b: Parallel maps of the second layer.
        hidden: Width of both layers.
        lstm_size: Width of an LSTM whose last state joins the features; None for no LSTM.
        dropout: Share of the features that is dropped in training.
        reg_weight: Weight of the Huber loss of the expected return.
        huber_delta: Error in spreads of the window from which on that loss is linear.
        cls_weight: Weight of the loss of the direction.
        cls_loss: `cross_entropy`, or `focal` with `focal_gamma`.
        focal_gamma: Exponent of the focal loss; its bias towards 1/2 is undone in the probability.
        unc_weight: Weight of the Gaussian likelihood of mean and spread.
        sign_hinge_weight: Weight of the sign hinge of the expected return.
        sign_margin: Margin of that hinge, in spreads of the window. Forecasts beyond it gain nothing by being larger.
        prob_source: Where the probability of a rise comes from: the `classifier` head, or the forecast density
            (`pdf`), Phi(mean / spread).
        direction_weight: Share w of the direction in the forecast mean, (1 - w) mean + w spread Phi^-1(p). At 0 the
            probability is a diagnostic, see `HermiteAnalyst.predict_direction`, and changes no forecast; with `pdf`
            it changes none at any weight.
    """

    kind: Literal["hermite"] = "hermite"
    context_length: int = Field(default=33, ge=16, le=256)
    polynomials: Literal["probabilist", "physicist"] = "probabilist"
    degree: int = Field(default=4, ge=4, le=8)
    maps_a: int = Field(default=4, ge=4, le=9)
    maps_b: int = Field(default=1, ge=1, le=5)
    hidden: int = Field(default=64, ge=64, le=192)
    lstm_size: int | None = Field(default=None, ge=32, le=96)
    dropout: float = Field(default=0.4, ge=0, lt=1)
    reg_weight: float = Field(default=1.0, ge=0)
    huber_delta: float = Field(default=1.0, gt=0)
    cls_weight: float = Field(default=0.5, ge=0)
    cls_loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = Field(default=2.0, ge=0)
    unc_weight: float = Field(default=1.0, ge=0)
    sign_hinge_weight: float = Field(default=0.1, ge=0)
    sign_margin: float = Field(default=1.0, gt=0)
    prob_source: Literal["classifier", "pdf"] = "classifier"
    direction_weight: float = Field(default=0.0, ge=0, le=1)
    # Large batches, a low rate and dropout: the layers read every bar of a window with weights of its own, and with
    # batches of 512 at twice the rate they fit the noise of long windows and of high degrees before the signal.
    fitting: FittingSettings = FittingSettings(
        steps=150, batch_size=2048, learning_rate=1e-3, weight_decay=0.1, validate_every=15
    )

    @property
    def own_gamma(self) -> float:
        """Exponent of the loss of the direction; the focal loss at 0 is the cross entropy."""
        return self.focal_gamma if self.cls_loss == "focal" else 0.0

    @model_validator(mode="after")
    def _learn_the_mean(self) -> HermiteSettings:
        if not self.reg_weight and not self.unc_weight:
            raise ValueError("reg_weight and unc_weight are both 0, so that nothing learns the mean; raise one of them")
        if self.prob_source == "classifier" and self.direction_weight and not self.cls_weight:
            raise ValueError(
                f"direction_weight is {self.direction_weight:g}, but cls_weight is 0, so that nothing learns the "
                "classifier; raise cls_weight, or use prob_source: pdf"
            )
        return self
