"""Checkpoints of Chronos with random weights, in the format of its own package.

`python -m tests.analysts.foundation.small` writes those of `data/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

DATA = Path(__file__).parent / "data"
_CORE = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
LEVELS_2 = [0.01, *(round(0.05 * step, 2) for step in range(1, 20)), 0.99]
DECILES = [round(0.1 * step, 1) for step in range(1, 10)]


def make_chronos_2(seed: int = 0) -> Any:
    from chronos.chronos2 import Chronos2Model
    from chronos.chronos2.config import Chronos2CoreConfig

    forecasting = {
        "context_length": 128,
        "input_patch_size": 8,
        "input_patch_stride": 8,
        "output_patch_size": 8,
        "max_output_patches": 4,
        "quantiles": LEVELS_2,
        "use_arcsinh": True,
        "use_reg_token": True,
    }
    torch.manual_seed(seed)
    config = Chronos2CoreConfig(
        **_CORE, initializer_factor=0.5, chronos_config=forecasting, chronos_pipeline_class="Chronos2Pipeline"
    )
    return Chronos2Model(config).eval()


def make_bolt(seed: int = 0) -> Any:
    from chronos.chronos_bolt import ChronosBoltModelForForecasting
    from transformers import T5Config

    forecasting = {
        "context_length": 128,
        "prediction_length": 24,
        "input_patch_size": 8,
        "input_patch_stride": 8,
        "quantiles": DECILES,
        "use_reg_token": True,
    }
    torch.manual_seed(seed)
    config = T5Config(
        **_CORE,
        initializer_factor=1.0,
        decoder_start_token_id=0,
        chronos_config=forecasting,
        chronos_pipeline_class="ChronosBoltPipeline",
    )
    return ChronosBoltModelForForecasting(config).eval()


if __name__ == "__main__":
    make_chronos_2().save_pretrained(DATA / "chronos-2")
    make_bolt().save_pretrained(DATA / "chronos-bolt")
