"""Fracast in an experiment from a YAML file: walked forward, and judged apart before and after its knowledge cutoff."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alfred.config import load_experiment
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.training.pipeline import forecast
from tests.training.small import write_prices

pytest.importorskip("fracast", reason="the extra 'fracast' is not installed")

YAML = """
name: released
data: {path: PRICES}
analysts:
  - kind: fracast
    context_length: 64
    horizons: [1, 5]
    forecast_every_days: 40
    knowledge_cutoff: 2011-06-30
    calibration: {kind: none}
forecast: {min_train_days: 260, refit_every_days: 120, cache: CACHE}
splits: {n_folds: 2, min_train_days: 60, validation_days: 40, embargo_days: 0}
features: {names: [momentum_1]}
training: {n_jobs: 1}
"""


def test_walk_forward_from_yaml(tmp_path) -> None:
    path = tmp_path / "experiment.yaml"
    text = YAML.replace("PRICES", str(write_prices(tmp_path))).replace("CACHE", str(tmp_path / "cache"))
    path.write_text(text, encoding="utf-8")
    experiment = load_experiment(path)
    prepared = forecast(experiment, tmp_path / "runs")
    cutoff = pd.Timestamp("2011-06-30")
    assert prepared.signals.knowledge_cutoffs == {"fracast": cutoff, "blend": cutoff}
    own = [column for column, name in enumerate(prepared.signals.names) if name.startswith("fracast.")]
    assert len(own) == 8
    assert np.isfinite(prepared.signals.values[:, :, own]).all()
    skill = compute_signal_skill(prepared.signals, prepared.market)
    skill = skill[skill["signal"] == "fracast.expected_return_5"].set_index("period")
    assert set(skill.index) == {"before cutoff", "after cutoff"}
    assert skill.loc["before cutoff", "n_dates"] == (prepared.signals.dates <= cutoff).sum()
    # Nothing is trained, but the model of a refit is known all the same, and lies before the row.
    assert (prepared.signals.trained_until[:, own] < prepared.signals.dates.to_numpy()[:, None]).all()
    assert prepared.market.n_dates - experiment.forecast.min_train_days == len(prepared.signals.dates)
