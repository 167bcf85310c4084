"""Settings that contradict themselves, and lengths that a history cannot bear."""

import pytest
from pydantic import ValidationError

from alfred.analysts.toto.settings import REVISIONS, TotoSettings, check_lengths
from alfred.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fine_tune": "lora"}, "fine_tune 'lora' needs a checkpoint"),
        ({"version": "2.0", "samples": 64}, r"Toto 2\.0 forecasts deciles and has no paths"),
        ({"aggregation": "trimmed_10"}, "aggregation 'trimmed_10' trims paths: set samples"),
        ({"loss": "quantile"}, r"loss 'quantile' does not fit the outputs of Toto 1\.0; choose mixture"),
        (
            {"version": "2.0", "loss": "mixture"},
            r"loss 'mixture' does not fit the outputs of Toto 2\.0; choose quantile",
        ),
        ({"version": "2.0", "loss": "heteroscedastic"}, "does not fit"),
        ({"version": "3.0"}, "Input should be '1.0' or '2.0'"),
        ({"contextlength": 3}, "Extra inputs are not permitted"),
    ],
)
def test_contradictions_are_refused(settings, message) -> None:
    with pytest.raises(ValidationError, match=message):
        TotoSettings.model_validate(settings)


def test_each_version_has_its_own_loss() -> None:
    assert TotoSettings(version="1.0").own_loss == "mixture"
    assert TotoSettings(version="2.0").own_loss == "quantile"
    assert TotoSettings(version="1.0", loss="mse").own_loss == "mse"


@pytest.mark.parametrize(
    ("n", "proposal"),
    [
        (100, "100 sessions are too few for more than a context of 50"),
        (450, "with 450 sessions use a context of 256 and a horizon of 16-32"),
        (950, "use a context of 512 and a horizon of 32-64"),
        (1600, "use a context of 1024 and a horizon of 64-128"),
        (2500, "use a context of up to 4096 and a horizon of 128-256"),
    ],
)
def test_lengths_beyond_the_history_meet_a_proposal(n, proposal) -> None:
    with pytest.raises(ConfigError, match=rf"context {n - 32} \+ prediction 32 must be below the {n} .*{proposal}"):
        check_lengths(n - 32, 32, n)
    check_lengths(n - 33, 32, n)


@pytest.mark.parametrize(
    ("settings", "patch"),
    [
        ({"horizons": (1, 20)}, 32),
        ({"horizons": (64,)}, 64),
        ({"horizons": (70,)}, 80),
        ({"horizons": (70,), "samples": 8}, 32),
        ({"horizons": (70,), "version": "2.0"}, 32),
        ({"horizons": (70,), "size": {"patch_size": 16}}, 16),
    ],
)
def test_a_fresh_patch_covers_the_horizons(settings, patch) -> None:
    assert TotoSettings.model_validate(settings).fresh_patch_size == patch


def test_training_suits_the_task() -> None:
    released = {"checkpoint": "Datadog/Toto-2.0-4m", "version": "2.0"}
    rates = [
        TotoSettings.model_validate(settings).own_fitting.learning_rate
        for settings in ({}, {**released, "fine_tune": "full"}, {**released, "fine_tune": "lora"})
    ]
    assert rates == [3e-3, 1e-4, 1e-3]
    assert TotoSettings.model_validate({"fitting": {"steps": 7}}).own_fitting.steps == 7


def test_revisions_are_commits() -> None:
    assert all(len(commit) == 40 and int(commit, 16) for commit in REVISIONS.values())
    assert len(set(REVISIONS.values())) == len(REVISIONS) == 5
