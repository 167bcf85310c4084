"""Every key of a configuration: described, walked once, offered to editors and shells."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

import alfred
from alfred.cli.completion import complete_config, complete_key, complete_override, complete_run
from alfred.config import REGISTRIES, Experiment, load_experiment
from alfred.config_reference import find_key, list_keys, make_schema
from alfred.errors import ConfigError
from alfred.keys.describe import list_model_keys
from alfred.settings import Settings
from tests.commands import call, refuse


def list_settings_models() -> list[type[Settings]]:
    """Return the models of every module called `settings`, which loads nothing heavy, and of `alfred.config`."""
    found = []
    for module in pkgutil.walk_packages(alfred.__path__, "alfred."):
        if module.name == "alfred.config" or module.name.rpartition(".")[2] == "settings":
            items = [item for item in vars(importlib.import_module(module.name)).values() if inspect.isclass(item)]
            found += [item for item in items if issubclass(item, Settings) and item.__module__ == module.name]
    return found


def test_every_key_of_every_model_says_what_it_means() -> None:
    models = list_settings_models()
    assert len(models) > 40
    silent = {f"{model.__name__}.{key.path}" for model in models for key in list_model_keys(model) if not key.text}
    silent |= {key.path for key in list_keys() if not key.text}
    assert silent == set()


def test_the_walk_has_every_key_of_a_configuration_once() -> None:
    keys = {key.path: key for key in list_keys()}
    assert len(keys) == len(list_keys())

    def walk(value: object, path: str) -> set[str]:
        if not isinstance(value, dict):
            return {path}
        below = {name for key, item in value.items() for name in walk(item, f"{path}.{key}")}
        return {path, *below}

    for name, value in yaml.safe_load(Experiment().to_yaml()).items():
        entries = [(name, value)] if name not in REGISTRIES else [(f"{name}.{item['kind']}", item) for item in value]
        for path, item in entries:
            missing = {p for p in walk(item, path) if p not in keys and not p.startswith("env.reward.options.")}
            assert missing == set()
    for name, registry in REGISTRIES.items():
        assert {key.path for key in keys.values() if key.section == name} == {f"{name}.{kind}" for kind in registry}


def test_a_key_is_what_its_field_is() -> None:
    (cost,) = find_key("env.cost_bps")
    assert cost.type == "a number of 0 or more and below 1000"
    assert (cost.unit, cost.default, cost.is_section, cost.kinds) == ("basis points", "5.0", False, ())
    (gamma,) = find_key("agents.ppo.gamma")
    assert gamma == find_key("agents.0.gamma")[0]
    assert gamma.default == "0.8" and {"ppo", "sac"} <= set(gamma.kinds) and "direct" not in gamma.kinds
    assert find_key("analysts.lstm.hidden")[0].path == "analysts.lstm.hidden_size"
    # A section that a kind gives other defaults than those of its model.
    assert find_key("analysts.lstm.fitting.steps")[0].default == "300"
    assert find_key("data.news")[0].default == "null"
    assert find_key("splits.train_days")[0].unit == "sessions"
    assert "next_open" in find_key("env.execution")[0].choices
    assert {item.path for item in find_key("agents.gamma")} == {f"agents.{kind}.gamma" for kind in gamma.kinds}
    assert find_key("agents.tqc.entropy_start")[0].default == "0.01"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("env.cst_bps", "Did you mean 'env.cost_bps'"),
        ("agents.ppo.gama", "Did you mean 'agents.ppo.gamma'"),
        ("agents.9.gamma", "numbered from 0 to 1"),
        ("nothing_like_it", "no key is called"),
    ],
)
def test_an_unknown_key_is_answered(name, words) -> None:
    with pytest.raises(ConfigError, match=words):
        find_key(name)


def test_the_command_prints_defaults_that_run_takes(tmp_path) -> None:
    printed = call("config", "--defaults").stdout
    path = tmp_path / "mine.yaml"
    path.write_text(printed)
    assert load_experiment(path) == Experiment()


def test_the_command_explains_keys_and_sections() -> None:
    shown = call("config", "explain", "agents.ppo.gamma").stdout
    for words in ("Discount.", "type: a number of 0 or more and below 1", "default: 0.8", "sac (0.5)"):
        assert words in shown
    section = call("config", "explain", "env.reward").stdout
    assert "env.reward.risk_aversion = 10.0" in section and "What a step pays" in section
    assert "analysts.lstm" in call("config", "explain", "analysts").stdout
    found = json.loads(call("config", "explain", "env.cost_bps", "--json").stdout)
    assert found["keys"][0]["unit"] == "basis points"
    assert "env.cost_bps" in refuse("config", "explain", "env.cst_bps")
    assert "--defaults" in refuse("config")


def resolve(schema: dict, whole: dict) -> dict:
    while "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def test_the_schema_has_every_key_with_its_text_and_no_other() -> None:
    schema = json.loads(call("config", "--schema").stdout)
    assert schema == make_schema()

    def walk(node: dict, path: str) -> dict[str, str]:
        found = {}
        for name, item in resolve(node, schema).get("properties", {}).items():
            found[f"{path}{name}"] = item.get("description", "")
            for option in (item, *item.get("anyOf", ()), item.get("items", {})):
                found |= walk(option, f"{path}{name}.") if "$ref" in option else {}
        return found

    found = walk(schema, "")
    for listed in REGISTRIES:
        for branch in schema["properties"][listed]["items"]["allOf"]:
            kind = branch["if"]["properties"]["kind"]["const"]
            assert resolve(branch["then"], schema)["additionalProperties"] is False
            found |= walk(branch["then"], f"{listed}.{kind}.")
    kinds = {f"{listed}.{kind}" for listed, registry in REGISTRIES.items() for kind in registry}
    expected = {key.path: key.text for key in list_keys() if key.path not in kinds}
    assert set(expected) == set(found)
    assert {path for path, text in found.items() if not text} == set()
    assert schema["additionalProperties"] is False


def test_completion_knows_runs_files_and_keys(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "config.yaml").write_text("name: demo\n")
    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "mine.yaml").write_text("agents: [{kind: sac}]\n")
    assert complete_run("ru") == ["runs/", "runs/demo"]
    assert complete_run("runs/d") == ["runs/demo"]
    assert set(complete_run("runs/")) == {"runs/demo", "runs/other/"}
    assert complete_config("m") == ["mine.yaml"]
    assert complete_key("env.cos") == ["env.cost_bps"]

    context = SimpleNamespace(params={"config": "mine.yaml"})
    assert complete_override(context, "env.cost") == ["env.cost_bps=5.0"]
    assert complete_override(context, "agents.0.gam") == ["agents.0.gamma=0.5"]
    assert complete_override(context, "env.execution=n") == ["env.execution=next_open", "env.execution=next_close"]
    assert complete_override(context, "env.rew") == ["env.reward."]
    assert complete_override(context, "env.cost_bps=") == ["env.cost_bps=5.0"]


def test_what_is_looked_up_loads_neither_torch_nor_pandas() -> None:
    script = (
        "import sys; from alfred.cli.completion import *; from alfred.config_reference import *\n"
        "complete_key('agents.p'); complete_run('r'); list_keys(); make_schema()\n"
        "print([name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    asked = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert asked.stdout.strip() == "[]"
