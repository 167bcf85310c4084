"""What a trial may vary: ranges, defaults, what is fixed."""

from __future__ import annotations

import optuna
import pytest

from alfred.analysts.settings import AnalystSettings
from alfred.errors import ConfigError
from alfred.training.search.two_stage.settings import FAMILIES, Family, read_settings
from alfred.training.search.two_stage.spaces import SPACES, ModelSpace
from tests.search.two_stage.cases import make_settings

RANGES = {
    "degree": (4, 8),
    "maps_a": (4, 9),
    "maps_b": (1, 5),
    "hidden": (64, 192),
    "dropout": (0.01, 0.40),
    "fitting.learning_rate": (5e-6, 5e-3),
    "reg_weight": (0.5, 4.0),
    "sign_hinge_weight": (0.0, 1.5),
    "context_length": (16, 256),
    "lstm_size": (32, 96),
}


def test_ranges_of_the_hermite_network() -> None:
    found = {parameter.path: parameter for parameter in SPACES["hermite"]}
    assert {name: (found[name].low, found[name].high) for name in RANGES} == RANGES
    assert found["fitting.learning_rate"].log
    assert {"cls_weight", "unc_weight", "prob_source", "focal_gamma", "polynomials", "lstm"} <= set(found)
    assert len(found) >= 13


@pytest.mark.parametrize("family", FAMILIES)
def test_every_trial_is_a_valid_model(family: Family) -> None:
    space = ModelSpace(make_settings(families=[family], fixed={}), 300)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = []
    for _ in range(60):
        trial = study.ask()
        model = space.suggest(trial)
        assert isinstance(model, AnalystSettings)
        assert (model.kind, model.horizons, model.label) == (family, (1,), "tuned")
        seen.append(model)
        study.tell(trial, 0.0)
    assert len({model.model_dump_json() for model in seen}) == 60
    if family == "hermite":
        assert {model.lstm_size is None for model in seen} == {True, False}  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_anchor_is_the_default_configuration(family: Family) -> None:
    space = ModelSpace(make_settings(families=[family], fixed={}), 300)
    anchor = space.make_default(family)
    model = space.suggest(optuna.trial.FixedTrial(anchor))
    assert model == space.build(family, {"context_length": anchor[f"{family}.context_length"]})


def test_what_is_fixed_is_not_searched() -> None:
    fixed = {"hermite": {"lstm_size": 40, "fitting": {"steps": 7}, "cls_loss": "focal"}}
    space = ModelSpace(make_settings(families=["hermite"], fixed=fixed), 300)
    names = {parameter.path for parameter in space.list_parameters("hermite")}
    assert not names & {"lstm", "lstm_size", "cls_loss"}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    trial = study.ask()
    model = space.suggest(trial)
    assert (model.lstm_size, model.fitting.steps, model.cls_loss) == (40, 7, "focal")  # type: ignore[attr-defined]
    assert model.fitting.learning_rate == trial.params["hermite.fitting.learning_rate"]  # type: ignore[attr-defined]
    assert "hermite.focal_gamma" in trial.params  # what depends on a fixed choice is searched
    with pytest.raises(
        ConfigError, match=r"family 'ridge' cannot be built: unknown key 'penalty'.* Did you mean 'penalties'"
    ):
        ModelSpace(make_settings(fixed={"ridge": {"penalty": 3}}), 300).build("ridge", {})
    with pytest.raises(ConfigError, match="set horizon, which is 1"):
        ModelSpace(make_settings(fixed={"ridge": {"horizons": [1, 5]}}), 300).build("ridge", {})


def test_windows_fit_into_the_first_fold() -> None:
    space = ModelSpace(make_settings(families=["hermite"]), 100)
    context = next(p for p in space.list_parameters("hermite") if p.path == "context_length")
    assert (context.low, context.high) == (16, 100)
    with pytest.raises(ConfigError, match="raise min_train_share"):
        ModelSpace(make_settings(), 12).list_parameters("ridge")


def test_settings_are_read_from_pairs() -> None:
    found = read_settings(["top_k=8", "fixed.hermite.fitting.steps=60", "families=[hermite]"], {"horizon": 3})
    assert (found.top_k, found.horizon, found.families) == (8, 3, ("hermite",))
    assert found.fixed == {"hermite": {"fitting": {"steps": 60}}}
    for pairs, text in [
        (["top_q=3"], "unknown key 'top_q'.*Did you mean 'top_k'"),
        (["top_k"], "needs key=value"),
        (["model_share=0.9"], "together they must be below 1"),
        (["families=[ridge, ridge]"], "name each once"),
        (["top_k=3", "top_k.deep=4"], "plain value already"),
    ]:
        with pytest.raises(ConfigError, match=text):
            read_settings(pairs)
