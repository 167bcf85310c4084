"""The eight experiments, and what a file of one's own may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from alfred.errors import ConfigError
from alfred.training.experiments.registry import choose_experiments, read_registry, resolve_experiments
from alfred.training.experiments.settings import ExperimentEntry


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_eight_are_what_the_plan_says() -> None:
    found = {item.name: item.strategy for item in resolve_experiments(())}
    baseline = found["baseline"]
    assert baseline.trees.features == "technical"
    assert set(baseline.horizon_weights.values()) == {1.0}
    assert (baseline.invert, baseline.momentum_filter, baseline.stop_loss_pct) == (False, "none", None)
    assert found["inversion"] == baseline.model_copy(update={"invert": True})
    assert found["momentum-features"].trees.features == "momentum"
    assert found["long-horizons"].horizon_weights == {1: 0.1, 5: 0.3, 20: 0.6}
    assert found["momentum-filter"].momentum_filter == "12_1"
    assert found["stop-loss"] == baseline.model_copy(update={"stop_loss_pct": 8.0})
    combined = found["combined"]
    assert combined.trees == found["momentum-features"].trees
    assert combined.horizon_weights == found["long-horizons"].horizon_weights
    assert (combined.momentum_filter, combined.stop_loss_pct, combined.invert) == ("12_1", 8.0, False)
    pure = found["pure-momentum"]
    assert (pure.score, pure.stop_loss_pct, pure.momentum) == ("momentum", 10.0, "12_1")


def test_an_experiment_builds_on_another_and_merges_inner_settings(tmp_path) -> None:
    path = write(
        tmp_path,
        "experiments:\n"
        "- {name: mine, based_on: combined, changes: {trees: {n_rounds: 20}, top_n: 5}}\n"
        "- {name: more, based_on: mine, changes: {sector_cap: 2, horizon_weights: {1: 0, 5: 1, 20: 0}}}\n"
        "holdout_days: 60\n"
        "quick: {test_days: 100}\n",
    )
    registry = read_registry(path)
    assert (registry.holdout_days, registry.quick.test_days, registry.quick.refit_every_days) == (60, 100, 21)
    *_, mine, more = resolve_experiments(registry.experiments, "mine.yaml")
    assert (mine.strategy.trees.n_rounds, mine.strategy.trees.features) == (20, "momentum")
    assert (mine.strategy.top_n, mine.strategy.stop_loss_pct) == (5, 8.0)
    assert (more.strategy.top_n, more.strategy.sector_cap) == (5, 2)
    assert more.strategy.horizon_weights == {1: 0.0, 5: 1.0, 20: 0.0}


def test_a_list_alone_is_a_file_of_experiments(tmp_path) -> None:
    assert read_registry(write(tmp_path, "- {name: mine, changes: {top_n: 3}}")).experiments[0].name == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {name: a, change: {}}", "unknown key 'experiments.0.change'"),
        ("holdout: 3", "unknown key 'holdout'; known here: .* Did you mean 'holdout_days'"),
        ("holdout_days: many", "holdout_days: .*got 'many'"),
        ("- {name: ../a}", "cannot be the name"),
        ("just words", "must hold a list of experiments"),
        ("[", "is not valid YAML"),
        ("experiments: {name: a}", "must be a list of entries"),
        ("quick: {start: 2020-01-01, end: 2019-01-01}", "swap them"),
    ],
)
def test_a_file_that_is_none_is_refused_on_one_line(tmp_path, text, said) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_registry(write(tmp_path, text))
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "a", "changes": {"topn": 3}}, "'a': unknown key 'topn'; known here: .* Did you mean 'top_n'"),
        ({"name": "a", "changes": {"trees": {"rounds": 3}}}, "unknown key 'trees.rounds'"),
        ({"name": "a", "changes": {"top_n": 0}}, "top_n: .*got 0"),
        ({"name": "a", "changes": {"horizon_weights": {1: 1.0}}}, "give one weight for each"),
        ({"name": "a", "changes": {"horizon_weights": {1: 0, 5: 0, 20: 0}}}, "all zero"),
        ({"name": "a", "changes": {"trees": {"invert": True}}}, "set horizon_weights and invert beside trees"),
        ({"name": "a", "based_on": "combine"}, "known: .* Did you mean 'combined'"),
        ({"name": "Baseline"}, "the name is taken"),
    ],
)
def test_an_entry_that_is_none_is_refused_on_one_line(entry, said) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        resolve_experiments([ExperimentEntry.model_validate(entry)], "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: experiment '")
    assert "\n" not in str(caught.value)


def test_the_baseline_is_always_among_the_chosen() -> None:
    every = resolve_experiments(())
    assert [item.name for item in choose_experiments(every, ["stop-loss"])] == ["baseline", "stop-loss"]
    assert choose_experiments(every, ()) == every
    with pytest.raises(ConfigError, match="Did you mean 'stop-loss'"):
        choose_experiments(every, ["stoploss"])
