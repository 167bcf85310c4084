"""What the Kronos analysts can be told."""

from __future__ import annotations

import datetime
from abc import abstractmethod
from typing import Literal

from pydantic import Field, field_validator, model_validator

from alfred.analysts.kronos.config import LoraSettings, ModelConfig, Precision, TokenizerConfig
from alfred.analysts.settings import AGGREGATIONS, AnalystSettings
from alfred.errors import suggest
from alfred.learning.settings import FittingSettings
from alfred.settings import Settings


class ReturnHeadSettings(Settings):
    """What is learnt by a return head: the forward log return itself, in spreads of the window, instead of tokens.

    Attributes:
        loss: What is minimised, and so what is forecast: `likelihood` gives a normal by its mean and spread,
            `pinball` eleven quantiles, `huber` the mean alone, with the window's volatility times a factor that is
            measured on the validation part as its spread.
        huber_delta: Error in spreads of the window from which on the Huber loss is linear.
        moves: Last moves from close to close, in spreads of the window, that the head reads beside the state of the
            last bar, since tokens round them to a part of what they say; 0 for none.
        tokens_first: Whether a fresh model learns to forecast tokens before it learns returns. A checkpoint did.
        fitting: How the head is trained, and with it the transformer unless that is frozen.
        max_validation: Validation windows at most; a weak signal needs more of them than tokens do.
    """

    loss: Literal["likelihood", "pinball", "huber"] = "likelihood"
    huber_delta: float = Field(default=1.0, gt=0)
    moves: int = Field(default=16, ge=0, le=4096)
    tokens_first: bool = True
    fitting: FittingSettings = FittingSettings(
        steps=400, batch_size=256, learning_rate=3e-3, weight_decay=0.1, validate_every=25, patience=6
    )
    max_validation: int = Field(default=4096, ge=1)


class KronosBaseSettings(AnalystSettings):
    """What both Kronos analysts can be told.

    Attributes:
        checkpoint: A released model by its hub name, a folder, or None to train a small pair from scratch in `fit`.
        tokenizer: Hub name or folder of the tokenizer; that of the release, or the one beside the model, by default.
        revision: Commit of the model on the hub; pinned for the released models.
        tokenizer_revision: Commit of the tokenizer on the hub; pinned for the released ones.
        knowledge_cutoff: Last date that the checkpoint may have seen. Needed for a folder; for released weights the
            date that their author gave, 2024-05-31, by default.
        fine_tune: Whether `fit` trains the checkpoint further: not at all, all weights, or low-rank adapters.
        fine_tune_tokenizer: Whether that holds for the tokenizer as well; it rarely helps.
        lora: The adapters.
        samples: Paths for each temperature.
        top_k: Draw from the k likeliest tokens only; 0 is off.
        top_p: Draw from the likeliest tokens that hold this probability. Released code uses 0.9, which narrows every
            path; the default draws from the whole distribution, so that the spread means something.
        aggregation: How the samples become the expected return.
        max_context: Longest window of the network; that of the released model, else 512, by default.
        anchored: Measure returns from what the tokens make of the last known bar, instead of from its true close, so
            that the error of the tokens is not taken for a forecast (github.com/shiyu-coder/Kronos/issues/26).
        precision: Of the model; `bfloat16` and `int8` are approximate.
        device: Where torch computes.
        batch_size: Windows in one pass; a part of the result's definition, see `predict`.
        tokenizer_size: Sizes of a tokenizer trained from scratch.
        model_size: Sizes of a model trained from scratch.
        tokenizer_fitting: How the tokenizer is trained.
        model_fitting: How the model is trained.
        sampled_s1: Whether training conditions fine tokens on drawn coarse tokens, as the released fine-tuning does.
        validation_fraction: Part of the dates, the last, that chooses the best step.
        max_validation: Validation windows at most.
        training_folder: Folder for checkpoints of the training, from which a killed `fit` goes on; None for none.
    """

    checkpoint: str | None = None
    tokenizer: str | None = None
    revision: str | None = None
    tokenizer_revision: str | None = None
    knowledge_cutoff: datetime.date | None = None
    fine_tune: Literal["none", "full", "lora"] = "none"
    fine_tune_tokenizer: bool = False
    lora: LoraSettings = LoraSettings()
    samples: int = Field(default=8, ge=1)
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    aggregation: str = "mean"
    anchored: bool = True
    max_context: int | None = Field(default=None, ge=2)
    precision: Precision = "float32"
    device: str = "cpu"
    batch_size: int = Field(default=64, ge=1)
    tokenizer_size: TokenizerConfig = TokenizerConfig()
    model_size: ModelConfig = ModelConfig()
    tokenizer_fitting: FittingSettings = FittingSettings(steps=700, batch_size=16, learning_rate=1e-2)
    model_fitting: FittingSettings = FittingSettings(steps=600, batch_size=16, learning_rate=1e-2)
    sampled_s1: bool = False
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    max_validation: int = Field(default=256, ge=1)
    training_folder: str | None = None

    @property
    def own_return_head(self) -> ReturnHeadSettings | None:
        """How returns are learnt, or None when tokens are forecast."""
        return None

    @property
    @abstractmethod
    def drawn_temperatures(self) -> tuple[float, ...]:
        """Temperatures that are drawn in one pass, `samples` paths each."""

    @field_validator("aggregation")
    @classmethod
    def _check_aggregation(cls, value: str) -> str:
        if value not in AGGREGATIONS:
            raise ValueError(
                f"unknown aggregation '{value}'; known: {', '.join(AGGREGATIONS)}.{suggest(value, AGGREGATIONS)}"
            )
        return value


class KronosSettings(KronosBaseSettings):
    """What the Kronos analyst can be told.

    Attributes:
        head: `tokens` draws paths token by token, as released. `return` reads the distribution of the forward return
            off the last bar of the window, in one pass; nothing is drawn then, and `samples`, `temperature`, `top_k`,
            `top_p`, `aggregation`, `anchored` and `sampled_s1` are not read. The transformer of a checkpoint is frozen
            or trained with the head as `fine_tune` says; a fresh one is trained with it.
        return_head: How the return head learns.
        temperature: Of the draw; below 1 paths keep to the likeliest tokens.
    """

    kind: Literal["kronos"] = "kronos"
    head: Literal["tokens", "return"] = "tokens"
    return_head: ReturnHeadSettings = ReturnHeadSettings()
    temperature: float = Field(default=1.0, gt=0)

    @property
    def own_return_head(self) -> ReturnHeadSettings | None:
        """How returns are learnt, or None when tokens are forecast."""
        return self.return_head if self.head == "return" else None

    @property
    def drawn_temperatures(self) -> tuple[float, ...]:
        """The one temperature."""
        return (self.temperature,)


class KronosEnsembleSettings(KronosBaseSettings):
    """What the Kronos ensemble can be told.

    Attributes:
        temperatures: Temperatures that are drawn in the same pass, `samples` paths each.
    """

    kind: Literal["kronos_ensemble"] = "kronos_ensemble"
    temperatures: tuple[float, ...] = Field(default=(0.10, 0.13, 0.16, 0.20, 0.25), min_length=1)
    samples: int = Field(default=2, ge=1)
    aggregation: str = "trimmed_10"

    @property
    def drawn_temperatures(self) -> tuple[float, ...]:
        """All temperatures."""
        return self.temperatures

    @model_validator(mode="before")
    @classmethod
    def _refuse_return_head(cls, raw: object) -> object:
        if isinstance(raw, dict) and ({"head", "return_head"} & set(raw)):
            raise ValueError(
                "kronos_ensemble draws tokens at several temperatures, and a return head draws nothing; use kind: "
                "kronos with head: return, or leave head out"
            )
        return raw

    @field_validator("temperatures")
    @classmethod
    def _check_temperatures(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0:
            raise ValueError(f"temperature {min(value)} must be positive; for greedy use top_k=1")
        return value
