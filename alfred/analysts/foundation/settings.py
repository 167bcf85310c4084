"""What the analysts around released models can be told, and what is known about the released weights."""

from __future__ import annotations

import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from alfred.analysts.settings import AnalystSettings
from alfred.learning.settings import Device

FRACAST_VERSION = "0.1.0"
"""The release that alfred knows; each comes with weights of its own, inside the package."""

FRACAST_CUTOFF = datetime.date(2026, 9, 26)
"""Day on which the wheel appeared. Its authors list public collections and name no last date of what they hold."""

FRACAST_CONTEXT = 2048
"""Longest context of Fracast, in sessions."""

FRACAST_HORIZON = 48
"""Sessions that Fracast forecasts in one pass. Further ones would follow its own median, with too narrow a spread."""

FRACAST_DIGESTS: dict[str, str] = {
    "w8": "77beb5e5f17cf77525c4c1813fdaacfba586ac0b9d6f67a7ad4355de25b05544",
    "fp32": "0d678f123f3d1f91c5065cca2b5d40eccc469360afc2381b27290486011ded2c",
}
"""SHA-256 of the two files of weights in the wheel."""

CHRONOS_REVISIONS: dict[str, str] = {
    "amazon/chronos-2": "29ec3766d36d6f73f0696f85560a422f50e8498c",
    "amazon/chronos-bolt-tiny": "a0e552de83495b5c28c14c71c374f3e33280b340",
    "amazon/chronos-bolt-mini": "251268337516a88e253628c43e1d26ec577b376b",
    "amazon/chronos-bolt-small": "772f3d25d38aec6d914c8949dab4462e2d46f5d8",
    "amazon/chronos-bolt-base": "5d9f166d69f47aef3401367a7b842e78fe97b121",
}
"""Commits of the released checkpoints on the hub."""

_BOLT_CUTOFF = datetime.date(2024, 11, 30)
CHRONOS_CUTOFFS: dict[str, datetime.date] = {
    "amazon/chronos-2": datetime.date(2025, 10, 31),
    **{name: _BOLT_CUTOFF for name in CHRONOS_REVISIONS if "bolt" in name},
}
"""Amazon names no last date of the training data: the end of the month in which the weights were uploaded."""


class FoundationSettings(AnalystSettings):
    """What the analysts around released models have in common.

    Attributes:
        context_length: Sessions that a forecast reads, C.
        knowledge_cutoff: Last date that the weights may have seen; what is known of the release when None.
        device: Where torch computes; `auto` is the graphics card when there is one.
        batch_size: Windows in one pass of the network.
    """

    context_length: int = Field(default=512, ge=8)
    knowledge_cutoff: datetime.date | None = None
    device: Device = "auto"
    batch_size: int = Field(default=64, ge=1)


class FracastSettings(FoundationSettings):
    """Settings of `FracastAnalyst`.

    Attributes:
        context_length: Up to 2048. A shorter one is not faster, since the network pads it to 2048.
        weights: `fp32`, or `w8`, which is rounded to eight bits and computes in single precision all the same.
        input_scaling: `price` (in last closes) or `log_price`. Neither is better: with 22 symbols the error of
            `price` was 3 % lower at one session from 2014 to 2017, by which it was chosen, and 1 % higher from 2018 on.
        batch_size: Small, since a window takes 2048 sessions of 64 channels and a batch should fit into the cache of a
            core: 64 of them take more than twice as long a window. On a graphics card 64 and more are better.
    """

    kind: Literal["fracast"] = "fracast"
    context_length: int = Field(default=512, ge=8, le=FRACAST_CONTEXT)
    weights: Literal["fp32", "w8"] = "fp32"
    input_scaling: Literal["price", "log_price"] = "price"
    batch_size: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _check_horizons(self) -> Self:
        if max(self.horizons) > FRACAST_HORIZON:
            raise ValueError(
                f"horizon {max(self.horizons)} is beyond the {FRACAST_HORIZON} sessions that Fracast forecasts; "
                "shorten the horizons"
            )
        return self


class ChronosSettings(FoundationSettings):
    """Settings of `ChronosAnalyst`.

    Attributes:
        checkpoint: A released model by its hub name, or a folder with its `config.json` and `model.safetensors`.
        revision: Commit on the hub, in place of the pinned one.
        knowledge_cutoff: Last date that the weights may have seen. Needed for a folder and for another revision; for a
            pinned model the end of the month in which its weights were uploaded, 2025-10-31 for Chronos-2 and
            2024-11-30 for Chronos-Bolt.
    """

    kind: Literal["chronos"] = "chronos"
    checkpoint: str = "amazon/chronos-2"
    revision: str | None = None
    batch_size: int = Field(default=128, ge=1)

    @property
    def released(self) -> datetime.date | None:
        """End of the month in which the weights were uploaded; None unless they are pinned ones."""
        pinned = CHRONOS_REVISIONS.get(self.checkpoint)
        return CHRONOS_CUTOFFS[self.checkpoint] if pinned and self.revision in (None, pinned) else None
