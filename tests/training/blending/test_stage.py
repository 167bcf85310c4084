"""The blend that is kept is made again when what its analysts had known changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from alfred.config import BlendSettings
from alfred.training.blending.stage import make_blend
from alfred.training.progress import Silence
from tests.training.blending.worlds import make_forecasts


def test_a_later_cutoff_and_an_earlier_training_reach_the_blend(tmp_path: Path) -> None:
    market, forecasts = make_forecasts(400, 1, n_useless=1)

    def make(**changes: object) -> tuple[dict[str, pd.Timestamp], np.datetime64]:
        changed = dataclasses.replace(forecasts, **changes)  # type: ignore[arg-type]
        blend = make_blend(market, changed, BlendSettings(), tmp_path / "blend", fresh=False, reporter=Silence())
        return dict(blend.knowledge_cutoffs), blend.trained_until[0, 0]

    for year in ("2001", "2002"):
        cutoff = pd.Timestamp(f"{year}-06-30")
        assert make(knowledge_cutoffs={"a0": cutoff})[0] == {"blend": cutoff}
    earlier = forecasts.trained_until - np.timedelta64(100, "D")
    assert make(trained_until=earlier)[1] == earlier[0, 0]
