"""How much skill would be enough: the curve, its crossing, and skill on one scale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alfred.cli import app
from alfred.config import load_experiment
from alfred.data.splits import make_folds
from alfred.training.doctor.oracle import plant_signal
from alfred.training.doctor.skill_curve import (
    Outcome,
    SkillCurve,
    find_crossing,
    find_smallest,
    measure_signals,
    summarise,
)
from tests.conftest import make_random_market
from tests.training.small import make_small, write_prices

ICS = np.array([0.0, 0.02, 0.05, 0.1])


@pytest.mark.parametrize(
    ("lower", "expected"),
    [
        ([-1.0, -0.5, 0.5, 1.0], 0.035),
        ([-1.0, 0.2, -0.6, 0.6], 0.05 + 0.05 * 0.6 / 1.2),  # where the last stretch above zero begins
        ([-1.0, 0.5, 0.2, -0.1], None),
        ([-1.0, -0.5, -0.4, -0.1], None),
        ([0.1, 0.2, 0.3, 0.4], 0.0),
        ([0.0, -1e-6, 0.3, 0.4], 0.05),  # every training kept its start: nothing is known of what lies between
    ],
)
def test_the_crossing_is_where_the_line_says(lower: list[float], expected: float | None) -> None:
    found = find_crossing(ICS, np.array(lower))
    assert found is None if expected is None else found == pytest.approx(expected)


def test_a_point_is_as_sure_as_its_one_history() -> None:
    outcomes = [Outcome(0.5, 0.40, 0.2, False), Outcome(0.7, 0.42, 0.2, False), Outcome(float("nan"), 0.38, 0.2, True)]
    point = summarise(0.05, "direct", outcomes)
    assert point.sharpe_minus_equal_weight == pytest.approx(0.4)
    # Three plantings on one test do not make it longer.
    assert point.ci == pytest.approx((0.4 - 1.96 * 0.2, 0.4 + 1.96 * 0.2))
    assert point.beats and point.share == pytest.approx(0.6) and point.kept == pytest.approx(2 / 3)
    assert summarise(0.0, "direct", [Outcome(float("nan"), 0.0, 0.0, True)]).share is None


def test_the_smallest_skill_has_an_interval_that_holds_it() -> None:
    points = [summarise(ic, "direct", [Outcome(0.5, 20 * ic - 0.1, 0.2, False)]) for ic in ICS]
    found = find_smallest(points)
    assert found is not None
    # 20 ic - 0.1 - 1.96 x 0.2 = 0
    assert found["ic"] == pytest.approx((0.1 + 1.96 * 0.2) / 20, rel=1e-6)
    low, high = found["ci"]  # type: ignore[misc]
    assert low < found["ic"] < high
    assert high - low == pytest.approx(2 * 1.96 * 0.2 / 20, rel=0.1)
    assert not found["at_most"]
    assert find_smallest([summarise(ic, "direct", [Outcome(0.0, 0.0, 0.2, True)]) for ic in ICS]) is None
    # One lucky strength below two that fail is no skill that suffices.
    lucky = zip(ICS, (0.0, 0.5, 0.0, -0.2), strict=True)
    assert find_smallest([summarise(ic, "direct", [Outcome(0.5, gain, 0.1, False)]) for ic, gain in lucky]) is None
    # When the weakest planted strength is enough, no more is known than that.
    enough = [summarise(ic, "direct", [Outcome(0.5, 3.0, 0.1, False)]) for ic in ICS[1:]]
    found = find_smallest(enough)
    assert found == {"ic": 0.02, "ci": [None, 0.02], "at_most": True}
    assert SkillCurve(tuple(enough), {"direct": found}, ()).sentence == (
        "To beat equal weight: direct needs 0.020 or less here."
    )


def test_a_planted_skill_is_measured_as_it_was_planted() -> None:
    market = make_random_market(2_500, 12, seed=4)
    experiment = load_experiment(None, ["splits.n_folds=1"])
    [fold] = make_folds(market.dates, experiment.splits, 1)
    for ic in (0.0, 0.2):
        planted = plant_signal(market, experiment.env, ic, np.random.default_rng(1))
        found = measure_signals(experiment, market, planted.signals, fold)
        assert [item.signal for item in found] == list(planted.signals.names)
        assert found[0].low < ic < found[0].high and found[0].ic == pytest.approx(ic, abs=0.03)
        assert abs(found[1].ic) < 0.03


@pytest.mark.slow
def test_the_command_draws_and_says(tmp_path: Path) -> None:
    write_prices(tmp_path, first=0)
    config = tmp_path / "config.yaml"
    config.write_text(make_small(tmp_path / "prices.csv").to_yaml(), encoding="utf-8")
    picture = tmp_path / "curve.png"
    options = ["--ic", "0,0.3", "--seeds", "1", "--steps", "256", "--picture", str(picture), "--json"]
    result = CliRunner().invoke(app, ["doctor", str(config), *options])
    assert result.exit_code == 0, result.output
    raw = json.loads(result.stdout)
    assert [(point["ic"], point["agent"]) for point in raw["curve"]] == [(0.0, "direct"), (0.3, "direct")]
    assert set(raw["smallest_skill"]) == {"direct"}
    # 256 steps teach nobody, which is said of the budget and not of the agent.
    assert "256 steps are too few to judge direct" in raw["sentence"] and raw["short_budgets"] == {"direct": 256}
    assert picture.read_bytes().startswith(b"\x89PNG")
    for wrong, text in (("a,b", "it must be numbers"), ("0,0.9", "must lie between 0 and 0.4")):
        result = CliRunner().invoke(app, ["doctor", str(config), "--ic", wrong])
        assert result.exit_code == 2 and text in result.output
