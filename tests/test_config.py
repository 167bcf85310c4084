import pytest
import yaml
from pydantic import BaseModel

from alfred.config import Experiment, load_experiment, parse_experiment
from alfred.errors import ConfigError


def write(folder, text):
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_are_an_experiment() -> None:
    experiment = load_experiment()
    assert next(settings.kind for settings in experiment.agents) == "ppo"
    assert experiment.env.cost_bps == 5.0


def test_the_resolved_configuration_can_be_fed_back(tmp_path) -> None:
    experiment = load_experiment(None, ["agents.0.gamma=0.25", "analysts=[{kind: lstm, hidden_size: 7}]"])
    path = write(tmp_path, experiment.to_yaml())
    assert load_experiment(path) == experiment
    assert experiment.agents[0].gamma == 0.25  # type: ignore[attr-defined]


def test_overrides_win_over_the_file_and_step_into_lists(tmp_path) -> None:
    path = write(tmp_path, "env: {cost_bps: 1}\nanalysts:\n- kind: naive\n- kind: momentum\n")
    experiment = load_experiment(path, ["env.cost_bps=10", "analysts.1.horizons=[2]", "splits.test_start=2010-01-04"])
    assert experiment.env.cost_bps == 10
    assert experiment.analysts[1].horizons == (2,)
    assert str(experiment.splits.test_start) == "2010-01-04"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("env.cost_bp=3", "unknown key 'env.cost_bp'; known here: .*cost_bps, .*Did you mean 'cost_bps'"),
        ("sede=1", "unknown key 'sede'.*Did you mean 'seed'"),
        ("analysts.2.hidden=1", "unknown key 'analysts.2.hidden'.*Did you mean 'hidden_size'"),
        ("analysts.2.fitting.step=1", "unknown key 'analysts.2.fitting.step'.*Did you mean 'steps'"),
        ("agents.0.kind=pppo", "agents.0: unknown agent kind 'pppo'.*Did you mean 'ppo'"),
        ("analysts=[{name: x}]", "analysts.0: unknown analyst kind None"),
        ("agents.0.gamma=high", "agents.0.gamma: it must be a number of 0 or more and below 1, got 'high'"),
        ("env.cost_bps=-1", "env.cost_bps: it must be a number of 0 or more and below 1000, got -1"),
        ("analysts=lstm", "analysts: it must be a list of mappings"),
        ("analysts=[{kind: naive}, {kind: naive}]", "two analysts are called 'naive'"),
        ("name=../outside", "name: '../outside' cannot be the name"),
        ("analysts.9.kind=naive", "'9' must be a number from 0 to"),
        ("env.cost_bps.deep=1", "--set env.cost_bps.deep"),
        ("env.cost_bps", "--set needs key=value"),
        ("env.cost_bps=[", "the value is not YAML"),
        ("data.start=2020-13-01", "the value is not YAML .month must be in 1..12"),
        ("env.cost_bps=" + "[" * 5000, "the value is not YAML .it is nested too deeply"),
        ("agents.²=1", "'²' must be a number from 0 to"),
        (f"agents.{'9' * 5000}=1", "must be a number from 0 to"),
        ("..=1", "a part of the key is empty"),
        ("env..cost_bps=1", "a part of the key is empty"),
        ("agents=[{kind: ppo}, {kind: ppo, name: PPO}]", "two agents are called 'ppo' and 'PPO', which differ only by"),
        ("analysts=[{kind: naive}, {kind: lstm, name: Naive}]", "two analysts are called 'naive' and 'Naive'"),
        ("analysts=[{kind: naive, name: feature}]", "analysts.0.name: an analyst cannot be called 'feature'"),
        ("analysts=[{kind: naive, name: con}]", "'con' cannot be the name of this"),
    ],
)
def test_bad_overrides_are_answered(override, message) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_experiment(None, ["env.cost_bps=5", override])
    assert "\n" not in str(caught.value)


def test_bad_files_are_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*nowhere\.yaml"):
        load_experiment(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_experiment(write(tmp_path, "a: [1"))
    with pytest.raises(ConfigError, match=r"config\.yaml is not valid YAML: month must be in 1\.\.12"):
        load_experiment(write(tmp_path, "data: {start: 2020-13-01}"))
    with pytest.raises(ConfigError, match=r"config\.yaml is not valid YAML: it is nested too deeply"):
        load_experiment(write(tmp_path, "a: " + "[" * 5000))
    with pytest.raises(ConfigError, match=r"config\.yaml is not valid YAML: a value does not fit its tag"):
        load_experiment(write(tmp_path, "seed: !!bool x"))
    with pytest.raises(ConfigError, match="must hold a mapping"):
        load_experiment(write(tmp_path, "- 1"))
    with pytest.raises(ConfigError, match=r"config\.yaml: unknown key 'analyst'"):
        load_experiment(write(tmp_path, "analyst: 1"))


def test_yaml_runs_no_code(tmp_path) -> None:
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_experiment(write(tmp_path, "name: !!python/object/apply:os.system ['true']"))


def test_parse_refuses_an_empty_list() -> None:
    with pytest.raises(ConfigError, match="analysts: it must be a list of mappings of keys, at least 1 of them"):
        parse_experiment({"analysts": []})
    assert isinstance(parse_experiment(yaml.safe_load("name: x")), Experiment)


def test_one_key_that_is_set_leaves_the_defaults_beside_it() -> None:
    """`--set training.n_jobs=1` once trained five seeds instead of three: the experiment had defaults of its own."""
    plain = load_experiment()
    for name, field in type(plain).model_fields.items():
        if isinstance(field.default, BaseModel):
            assert field.default == type(field.default)(), name
    assert load_experiment(overrides=["training.n_jobs=1"]).training.n_seeds == plain.training.n_seeds


def test_a_list_that_is_none_beside_an_unknown_key_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'data\.horizon'"):
        parse_experiment({"data": {"horizon": 1}, "analysts": True})
