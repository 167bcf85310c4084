"""What a Toto analyst can be told, and what is known about the released weights."""

from __future__ import annotations

import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from alfred.analysts.settings import AnalystSettings
from alfred.analysts.toto.config import Toto1Config, Toto2Config
from alfred.errors import ConfigError
from alfred.learning.settings import FittingSettings
from alfred.settings import Settings

REVISIONS: dict[str, str] = {
    "Datadog/Toto-Open-Base-1.0": "0411ceb27bdf7fc3e4892e99edc8ad08192dc3c5",
    "Datadog/Toto-2.0-4m": "8306a9801cf98c0f5ffe4b2dcc8f496e616d84d9",
    "Datadog/Toto-2.0-22m": "685e4ae3e2be8d8998025e53dd98e7fdcb296a89",
    "Datadog/Toto-2.0-313m": "a7bab288f5e95f8606f8306f86659357e1c001ef",
    "Datadog/Toto-2.0-1B": "1604e1a5242884fb9848f88c4ced14f4dc62d9d3",
}
# Datadog names no last date of its training data. The month in which the weights appeared (1.0: May 2025, 2.0: May
# 2026) is the latest that it can be, so every forecast before its end counts as seen.
KNOWLEDGE_CUTOFFS: dict[str, datetime.date] = {
    "1.0": datetime.date(2025, 5, 31),
    "2.0": datetime.date(2026, 5, 31),
}
_PATCH, _PATCH_STEP = 32, 16
Covariate = Literal["volume", "market_level", "sector_level"]
# Sessions of history -> context and horizon that they bear, after Datadog's advice for fine-tuning.
_PROPOSALS = ((2000, "up to 4096", "128-256"), (1500, "1024", "64-128"), (900, "512", "32-64"), (400, "256", "16-32"))


_FITTINGS = {
    "none": FittingSettings(steps=400, batch_size=64, learning_rate=3e-3, schedule="warmup_stable_decay"),
    "full": FittingSettings(steps=1000, batch_size=16, learning_rate=1e-4, schedule="warmup_stable_decay"),
    "lora": FittingSettings(steps=1000, batch_size=16, learning_rate=1e-3, schedule="warmup_stable_decay"),
}


class TotoSize(Settings):
    """Size of a Toto that is trained from scratch; the defaults learn in seconds on one core.

    Attributes:
        patch_size: Sessions of a patch, P. When None it is 32 and grows by sixteens where 1.0 must forecast further
            than that without paths.
        width: Channels of a token.
        n_layers: Layers, all along time; with covariates the last one attends across variates, as in the released
            networks.
        n_heads: Attention heads.
        hidden: Channels of the gated networks.
        n_components: Components of the mixture (1.0 only).
    """

    patch_size: int | None = Field(default=None, ge=1)
    width: int = Field(default=32, ge=8)
    n_layers: int = Field(default=2, ge=1)
    n_heads: int = Field(default=2, ge=1)
    hidden: int = Field(default=64, ge=1)
    n_components: int = Field(default=4, ge=1)

    def make_config_v1(self, patch_size: int, *, across_variates: bool = False) -> Toto1Config:
        """Return the sizes of a Toto 1.0 with this patch, and whether its last layer attends across variates."""
        return Toto1Config(
            patch_size=patch_size,
            stride=patch_size,
            embed_dim=self.width,
            num_layers=self.n_layers,
            num_heads=self.n_heads,
            mlp_hidden_dim=self.hidden,
            dropout=0.0,
            spacewise_every_n_layers=self.n_layers if across_variates else -1,
            k_components=self.n_components,
        )

    def make_config_v2(self, patch_size: int, *, across_variates: bool = False) -> Toto2Config:
        """Return the sizes of a Toto 2.0 with this patch, and whether its last layer attends across variates."""
        config = Toto2Config(
            patch_size=patch_size,
            d_model=self.width,
            d_ff=self.hidden,
            num_heads=self.n_heads,
            num_layers=self.n_layers,
            num_variate_layers_per_group=0,
        )
        if not across_variates:
            return config
        return config.model_copy(update={"layer_group_size": self.n_layers, "num_variate_layers_per_group": 1})


class TotoSettings(AnalystSettings):
    """Settings of `TotoAnalyst`.

    Attributes:
        version: `1.0` forecasts a full distribution and can sample paths; `2.0` forecasts nine deciles in one pass.
        checkpoint: A released model by its hub name, a local folder with `config.json` and `model.safetensors` (also
            one that `save_pretrained` wrote), or None to train from scratch at `size`.
        revision: Commit on the hub, in place of the pinned one.
        knowledge_cutoff: Last date that the checkpoint may have seen; the end of the month of its release when None.
        size: Size when trained from scratch.
        fine_tune: What `fit` trains of a checkpoint: nothing, all weights, or low-rank adapters (needs peft).
        lora_rank: Rank of the adapters.
        lora_alpha: Their scale, in units of the rank.
        loss: `mixture` (1.0, its own recipe), `quantile` (2.0), `huber`, `mse` or `heteroscedastic`; the version's
            own when None.
        huber_delta: Where the Huber loss turns linear, in scaled units.
        samples: Paths to sample (1.0); 0 reads the forecast off the distribution itself, which is exact and faster,
            but ends at the patch.
        aggregation: How paths, or deciles, become the expected return.
        input_scaling: `log_price` (times 100, from the last close) or `standardised` (log price in units of the
            window's daily volatility). Raw returns are not offered: the scaler of 1.0 would flatten them.
        covariates: What is read beside the closes of a symbol, as further variates of its group, never forecast:
            `volume`, and the indices of all symbols (`market_level`) and of its sector (`sector_level`).
        context_length: Sessions that a forecast reads, C; cut to whole patches.
        validation_fraction: Last part of the history that chooses the best step.
        batch_size: Windows in one pass of the network.
        fitting: How to train; when None 400 steps at 3e-3 from scratch, 1000 at 1e-4 for all weights of a checkpoint
            (its authors' rate), 1000 at 1e-3 for adapters.
    """

    kind: Literal["toto"] = "toto"
    version: Literal["1.0", "2.0"] = "1.0"
    checkpoint: str | None = None
    revision: str | None = None
    knowledge_cutoff: datetime.date | None = None
    size: TotoSize = TotoSize()
    fine_tune: Literal["none", "full", "lora"] = "none"
    lora_rank: int = Field(default=8, ge=1)
    lora_alpha: int = Field(default=16, ge=1)
    loss: Literal["mixture", "quantile", "huber", "mse", "heteroscedastic"] | None = None
    huber_delta: float = Field(default=1.0, gt=0)
    samples: int = Field(default=0, ge=0)
    aggregation: Literal["mean", "median", "trimmed_5", "trimmed_10", "trimmed_15", "trimmed_20"] = "mean"
    input_scaling: Literal["log_price", "standardised"] = "log_price"
    covariates: tuple[Covariate, ...] = ()
    context_length: int = Field(default=128, ge=2)
    validation_fraction: float = Field(default=0.15, gt=0, lt=1)
    batch_size: int = Field(default=512, ge=1)
    fitting: FittingSettings | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if self.checkpoint is None and self.fine_tune != "none":
            raise ValueError(f"fine_tune '{self.fine_tune}' needs a checkpoint; without one all is trained anyway")
        if self.version == "2.0" and self.samples:
            raise ValueError(f"samples {self.samples}: Toto 2.0 forecasts deciles and has no paths; set samples 0")
        if self.version == "1.0" and not self.samples and self.aggregation.startswith("trimmed"):
            raise ValueError(f"aggregation '{self.aggregation}' trims paths: set samples, for instance 128")
        refused = {"1.0": "quantile", "2.0": "mixture"}[self.version]
        if self.loss in (refused, "heteroscedastic" if self.version == "2.0" else refused):
            known = {"1.0": "mixture, huber, mse, heteroscedastic", "2.0": "quantile, huber, mse"}[self.version]
            raise ValueError(f"loss '{self.loss}' does not fit the outputs of Toto {self.version}; choose {known}")
        return self

    @model_validator(mode="after")
    def _check_covariates(self) -> Self:
        if len(set(self.covariates)) < len(self.covariates):
            raise ValueError(f"covariates are {list(self.covariates)}; name each once")
        if self.covariates and self.checkpoint is None and self.size.n_layers < 2:
            raise ValueError(
                f"covariates need size.n_layers 2 at least, got {self.size.n_layers}: one layer along time, one across "
                "variates"
            )
        return self

    @property
    def fresh_patch_size(self) -> int:
        """Sessions of a patch when trained from scratch."""
        if self.size.patch_size is not None:
            return self.size.patch_size
        if self.version == "2.0" or self.samples:
            return _PATCH
        return max(_PATCH, -(-max(self.horizons) // _PATCH_STEP) * _PATCH_STEP)

    @property
    def own_fitting(self) -> FittingSettings:
        """How to train, with what suits the task for None."""
        return self.fitting or _FITTINGS[self.fine_tune]

    @property
    def own_loss(self) -> str:
        """The loss, with that of the version's authors for None."""
        return self.loss or {"1.0": "mixture", "2.0": "quantile"}[self.version]


def check_lengths(context: int, prediction: int, n_samples: int) -> None:
    """Refuse a context and a horizon that the history is too short for.

    Args:
        context: Sessions read.
        prediction: Sessions ahead to learn from, at least a patch.
        n_samples: Sessions of the longest history.

    Raises:
        ConfigError: `context + prediction` is not below `n_samples`; the text proposes lengths that are.
    """
    if context + prediction < n_samples:
        return
    fitting = next((row for row in _PROPOSALS if n_samples >= row[0]), None)
    advice = (
        f"with {n_samples} sessions use a context of {fitting[1]} and a horizon of {fitting[2]}"
        if fitting
        else f"{n_samples} sessions are too few for more than a context of {n_samples // 2}; 400 and more are better"
    )
    raise ConfigError(
        f"context {context} + prediction {prediction} must be below the {n_samples} sessions of history; {advice}"
    )
