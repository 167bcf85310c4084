"""The runs of a folder: listed, described, removed, cleaned, and how a command on one ended."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from alfred.cli import app
from alfred.errors import DataError
from alfred.training import pipeline
from alfred.training.catalogue.description import find_changes
from alfred.training.catalogue.entries import read_verdict
from alfred.training.catalogue.status import read_status
from alfred.training.locks import hold_run, is_held
from alfred.training.runs import RunFolder
from tests.commands import call, refuse
from tests.training.small import make_small, run_small, write_prices


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of the folder with `one` and `two`, to be written to."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in ("one", "two", ".trials"):
        shutil.copytree(made / name, folder / name)
    shutil.copy(made / "trials.jsonl", folder)
    return folder


def listed(root: Path) -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(call("runs", "list", root, "--json").stdout)}


def state(root: Path, name: str) -> tuple[object, object]:
    entry = listed(root)[name]
    return entry["state"], entry["reason"]


def write_status(run: Path, **changes: object) -> None:
    place = run / "status.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), **changes}))


@pytest.mark.parametrize(
    ("verdict", "headline", "shown"),
    [
        ("beats", "ppo beats SPY, as equal weight does", "beats SPY, as equal weight does"),
        (
            "beats",
            "ppo beats SPY and equal weight: too good to be true",
            "beats SPY and equal weight: too good to be true",
        ),
        ("cannot tell", "Cannot tell whether ppo beats SPY", "cannot tell"),
        ("did not learn", "ppo did not learn", "did not learn"),
    ],
)
def test_a_gain_that_equal_weight_shares_is_listed_as_such(
    tmp_path: Path, verdict: str, headline: str, shown: str
) -> None:
    row = {"name": "ppo", "benchmark_verdict": verdict, "headline": headline}
    (tmp_path / "results.json").write_text(json.dumps([row]))
    assert read_verdict(RunFolder(tmp_path)) == shown


def test_finished_runs_are_listed(made: Path) -> None:
    found = listed(made)
    assert set(found) == {"one", "two", "late"}
    one = found["one"]
    stored = json.loads((made / "one" / "results.json").read_text())[0]
    dates = json.loads((made / "one" / "manifest.json").read_text())["folds"]
    assert one["kind"] == "run" and one["state"] == "finished" and one["reason"] == ""
    assert one["verdict"] == stored["benchmark_verdict"]
    assert all(str(day) in dates[0] for day in one["tested"])  # type: ignore[attr-defined]
    assert (one["n_trials"], found["two"]["n_trials"]) == (1, 2)
    size = sum(path.stat().st_size for path in (made / "one").rglob("*") if path.is_file())
    assert one["size"] == size
    table = call("runs", "list", made).stdout
    for word in ("one", "two", "late", "finished", "2011-11-01 to 20"):
        assert word in table


def test_other_things_are_told_as_what_they_are(root: Path) -> None:
    for name in ("tuning", "experiments", "sweeps", "nothing", "account", "library/lstm", "page", "begun"):
        (root / name).mkdir(parents=True)
    (root / "account" / "account.json").write_text("{}")
    (root / "library" / "lstm" / "card.json").write_text("{}")
    for name in ("results.json", "report.html"):
        (root / "page" / name).write_text("[]")
    (root / "begun" / "config.yaml").write_text("name: [torn")
    (root / "link").symlink_to(root / "one")
    (root / "dead").symlink_to(root / "gone")
    found = listed(root)
    kinds = {name: entry["kind"] for name, entry in found.items()}
    told = dict.fromkeys(("one", "two", "begun"), "run") | dict.fromkeys(("link", "dead"), "link")
    told |= {"tuning": "searches", "experiments": "experiments", "sweeps": "sweeps", "nothing": "other"}
    assert kinds == {**told, "account": "paper account", "library": "analysts", "page": "page"}
    assert found["begun"]["state"] == "interrupted"
    shown = call("runs", "list", root)
    assert shown.exit_code == 0 and "a paper account" in shown.stdout
    assert call("runs", "clean", "--runs", root, "--dry-run").exit_code == 0


def test_why_a_run_failed_is_kept(tmp_path: Path) -> None:
    experiment = make_small(write_prices(tmp_path), env={"rebalance_every": 40})
    with pytest.raises(DataError) as caught:
        run_small(tmp_path / "runs", experiment)
    found, reason = state(tmp_path / "runs", "small")
    assert (found, reason) == ("failed", f"run: {caught.value}")
    assert "failed, run: " in call("runs", "list", tmp_path / "runs").stdout.replace("\n", " ")


def test_states(root: Path) -> None:
    assert state(root, "one") == ("finished", "")
    write_status(root / "one", outcome="began", ended=None)
    found, reason = state(root, "one")
    assert found == "interrupted" and "was killed; the same command goes on" in str(reason)
    assert listed(root)["one"]["verdict"] == "" and listed(root)["two"]["verdict"]
    # The configuration was changed since, by a command that went on to train and no further.
    write_status(root / "two", command="train", outcome="finished", judged="0" * 24)
    found, reason = state(root, "two")
    assert found == "trained" and "not judged as it is now" in str(reason)
    (root / "two" / "status.json").write_text("torn")
    assert state(root, "two")[0] == "finished"  # a run of an earlier version has no such file
    (root / "two" / "results.json").unlink()
    assert state(root, "two")[0] == "trained"
    next((root / "two" / "agents").rglob("scores.json")).unlink()
    assert state(root, "two")[0] == "interrupted"

    with hold_run(root / "one"):
        assert state(root, "one")[0] == "running"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(is_held, root / "one").result()
    assert not is_held(root / "one")
    assert not is_held(root / "never")
    assert not (root / ".never.lock").exists()


def test_an_interrupt_and_a_success_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, root = make_small(write_prices(tmp_path)), tmp_path / "runs"
    pipeline.forecast(experiment, root)
    status = read_status(root / "small")
    assert status is not None and (status.command, status.outcome, status.judged) == ("forecast", "finished", None)
    assert state(root, "small") == ("forecast", "not trained yet")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_small(root, experiment)
    found, reason = state(root, "small")
    assert found == "interrupted" and "was stopped" in str(reason)


def test_a_run_is_shown_whole(made: Path) -> None:
    found = json.loads(call("runs", "show", made / "two", "--json").stdout)
    assert found["state"] == "finished" and found["made_with"]["benchmark"] == "SPY"
    assert found["settings"]["env.cost_bps"] == {"default": "5.0", "value": "20.0"}
    assert found["settings"]["agents"] == {"default": "ppo, direct", "value": "direct, second"}
    assert found["settings"]["agents.second.total_steps"]["value"] == "256"
    assert "agents.second.gamma" not in found["settings"] and "env.slippage_bps" not in found["settings"]
    assert found["stages"]["trainings of second"] == {"done": 1, "asked": 1}
    assert found["stages"]["forecasts"] == {"done": 2, "asked": 2}
    assert sum(found["sizes"].values()) == found["size"]
    assert [trial["strategy"] for trial in found["trials"]] == ["direct", "second"]
    text = call("runs", "show", "two", "--runs", made).stdout
    for word in ("verdict: ", "trainings of direct", "env.cost_bps", "Trials", "agents"):
        assert word in text


def test_defaults_are_no_changes() -> None:
    from alfred.config import Experiment

    defaults = yaml.safe_load(Experiment().to_yaml())
    assert find_changes(defaults) == []
    defaults["analysts"].append({"kind": "of_a_plugin", "name": None, "depth": 3})
    found = {item.key: item.values for item in find_changes(defaults)}
    assert found["analysts.of_a_plugin.depth"] == ("–", "3")
    assert found["analysts"][1].endswith(", of_a_plugin")


def test_removing_asks_and_keeps_the_log(root: Path) -> None:
    log = (root / "trials.jsonl").read_bytes()
    declined = CliRunner().invoke(app, ["runs", "remove", str(root / "one")], input="n\n")
    assert declined.exit_code == 2 and (root / "one").is_dir()
    assert "stay in the log" in declined.stderr
    assert CliRunner().invoke(app, ["runs", "remove", str(root / "one")], input="").exit_code == 2
    agreed = CliRunner().invoke(app, ["runs", "remove", str(root / "one")], input="y\n")
    assert agreed.exit_code == 0 and not (root / "one").exists()
    assert "stay in the log" in agreed.stdout
    found = json.loads(call("runs", "remove", "two", "--runs", root, "--yes", "--json").stdout)
    assert found["removed"] == str(root / "two") and found["trials_kept"] == 2 and found["bytes"] > 0
    assert (root / "trials.jsonl").read_bytes() == log
    assert not [path for path in root.iterdir() if path.name.endswith(".removed")]


def test_what_is_not_removed(root: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, hold_run(root / "one"):
        message = pool.submit(refuse, "runs", "remove", root / "one", "--yes").result()
    assert "another process is writing" in message
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(root / "one", elsewhere / "one")
    (root / "link").symlink_to(elsewhere / "one")
    assert "is a link" in refuse("runs", "remove", root / "link", "--yes")
    (root / "bare").mkdir()
    (root / "bare" / "config.yaml").write_text("name: bare\n")
    assert "no manifest" in refuse("runs", "remove", root / "bare", "--yes")
    (root / "bare" / "manifest.json").write_text('{"name": "of another tool"}')
    assert "no manifest" in refuse("runs", "remove", root / "bare", "--yes")
    (root / "tuning").mkdir()
    assert "not a run" in refuse("runs", "remove", root / "tuning", "--yes")
    assert "does not lie in" in refuse("runs", "remove", elsewhere / "one", "--runs", root, "--yes")
    assert "does not lie in" in refuse("runs", "remove", "..", "--runs", root, "--yes")
    assert "does not lie in" in refuse(
        "runs", "remove", root / "one" / ".." / ".." / "elsewhere", "--runs", root, "--yes"
    )
    assert "Did you mean 'one'?" in refuse("runs", "remove", "onne", "--runs", root, "--yes")
    assert "--yes" in refuse("runs", "remove", root / "one", "--json")
    assert (elsewhere / "one" / "config.yaml").is_file() and (root / "one").is_dir() and (root / "bare").is_dir()


def test_links_inside_a_run_are_not_followed(root: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").write_text("mine")
    (root / "one" / "agents" / "shortcut").symlink_to(keep)
    assert call("runs", "remove", root / "one", "--yes").exit_code == 0
    assert (keep / "file").read_text() == "mine"


def test_an_account_that_follows_a_run_is_named(root: Path) -> None:
    (root / "paper").mkdir()
    (root / "paper" / "account.json").write_text(json.dumps({"run": str(root / "one")}))
    declined = CliRunner().invoke(app, ["runs", "remove", str(root / "one")], input="n\n")
    assert "the paper account" in declined.stderr


def test_accounts_beside_the_folder_of_runs_are_named(root: Path, tmp_path: Path, monkeypatch) -> None:
    account = root.parent / "paper" / "mine"
    account.mkdir(parents=True)
    (account / "account.json").write_text(json.dumps({"run": str(root / "one")}))
    monkeypatch.chdir(root.parent)
    removed = call("runs", "remove", "one", "--runs", root.name, "--yes", "--json")
    assert removed.exit_code == 0 and removed.stderr.count("cannot be stepped without it") == 1
    assert len(json.loads(removed.stdout)["followers"]) == 1


def test_cleaning_follows_no_link_and_takes_no_file_of_others(root: Path) -> None:
    shutil.copytree(root / "two", root / "three")
    call("runs", "clean", "--runs", root)
    shutil.rmtree(root / "one" / "agents")
    (root / "one" / "agents").symlink_to(root / "two" / "agents")  # it has an agent that `one` has not
    shutil.rmtree(root / "three" / "agents" / "direct" / "fold0")
    (root / "three" / "agents" / "direct" / "fold0").symlink_to(root / "two" / "agents" / "direct" / "fold0")
    planted = plant(root / "two")
    del planted["held out"]  # cleaned above
    (root / "three" / ".mine.part").write_text("mine")
    (root / ".kept.removed").mkdir()
    found = json.loads(call("runs", "clean", "one", "three", "--runs", root, "--json").stdout)
    assert found["waste"] == []
    assert all(path.is_file() for path in planted.values()) and (root / "two" / "agents" / "second").is_dir()
    call("runs", "clean", "--runs", root)
    assert (root / "three" / ".mine.part").is_file() and (root / ".kept.removed").is_dir()
    assert not planted["agent"].exists()


def plant(run: Path) -> dict[str, Path]:
    """Put what is not needed into a run; return it by name."""
    training = next((run / "agents" / "direct").glob("fold0/seed0"))
    planted = {
        "part": run / f".results.json.{os.getpid()}.part",
        "agent": run / "agents" / "gone" / "fold0" / "seed0" / "policy.json",
        "fold": run / "agents" / "direct" / "fold9" / "seed0" / "policy.json",
        "seed": run / "agents" / "direct" / "fold0" / "seed7" / "policy.json",
        "analyst": run / "forecasts" / "gone" / "signals.parquet",
        "checkpoint": training / "block0" / "checkpoints" / "000000000001.safetensors",
    }
    for path in planted.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
    return planted | {"held out": training / "block0" / "held_out.safetensors"}


def test_what_is_cleaned_is_not_needed(root: Path) -> None:
    before = json.loads(call("evaluate", root / "two", "--json").stdout)
    planted = plant(root / "two")
    assert all(path.is_file() for path in planted.values())
    curves = sorted((root / "two").rglob("events.out*"))
    foreseen = json.loads(call("runs", "clean", "--runs", root, "--dry-run", "--json").stdout)
    assert all(path.is_file() for path in planted.values()) and not foreseen["deleted"]
    total = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    done = json.loads(call("runs", "clean", "--runs", root, "--json").stdout)
    assert done["deleted"] and done["waste"] == foreseen["waste"] and done["bytes"] == foreseen["bytes"]
    assert not any(path.exists() for path in planted.values())
    assert total - sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) == done["bytes"]
    whys = {item["why"] for item in done["waste"]}
    assert whys == {"half-written", "no longer used", "checkpoints"}
    assert sorted((root / "two").rglob("events.out*")) == curves
    assert json.loads(call("evaluate", root / "two", "--json").stdout) == before
    result = call("runs", "clean", "--runs", root)
    assert "nothing to clean" in result.stdout and "`alfred evaluate`" in result.stdout


def test_a_cleaned_run_is_evaluated_from_its_policies(root: Path) -> None:
    before = json.loads(call("evaluate", root / "one", "--json").stdout)
    call("runs", "clean", "one", "--runs", root)
    shutil.rmtree(root / "one" / "backtests")
    assert json.loads(call("evaluate", root / "one", "--json").stdout) == before


def test_an_interrupted_run_keeps_what_it_needs(root: Path) -> None:
    planted = plant(root / "two")
    write_status(root / "two", outcome="began")
    found = json.loads(call("runs", "clean", "two", "--runs", root, "--json").stdout)
    assert [item["why"] for item in found["waste"]] == ["half-written"]
    assert "interrupted" in found["passed_over"][0]
    assert all(path.is_file() for name, path in planted.items() if name != "part")


def test_a_running_run_is_passed_over(root: Path) -> None:
    planted = plant(root / "two")
    with ThreadPoolExecutor(1) as pool, hold_run(root / "two"):
        result = pool.submit(call, "runs", "clean", "--runs", root, "--cache", "--json").result()
    found = json.loads(result.stdout)
    assert "a process is writing to it" in found["passed_over"][0]
    assert all(path.is_file() for path in planted.values())


def test_what_lies_beside_the_runs(root: Path) -> None:
    (root / ".cache" / "naive-1").mkdir(parents=True)
    (root / ".cache" / "naive-1" / "piece.npy").write_bytes(b"x" * 500)
    old, new = root / ".trials" / ".a.npy.1.part", root / ".cache" / "naive-1" / ".b.npy.2.part"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    (root / ".three.77.removed").mkdir()
    log = sorted(path.name for path in (root / ".trials").glob("*.npy"))
    found = json.loads(call("runs", "clean", "--runs", root, "--json").stdout)
    assert not old.exists() and new.exists() and not (root / ".three.77.removed").exists()
    assert found["cache_bytes"] == 501
    assert sorted(path.name for path in (root / ".trials").glob("*.npy")) == log and log
    assert "--cache" in call("runs", "clean", "--runs", root).stdout
    call("runs", "clean", "--runs", root, "--cache")
    assert not (root / ".cache").exists()


def test_what_cannot_be_listed(tmp_path: Path) -> None:
    assert "is not a folder" in refuse("runs", "list", tmp_path / "none")
    assert "is not a folder" in refuse("runs", "clean", "--runs", tmp_path / "none")
    assert "there is no run" in refuse("runs", "show", tmp_path / "none")
    assert "there is nothing in" in call("runs", "list", tmp_path).stdout
    assert json.loads(call("runs", "list", tmp_path, "--json").stdout) == []


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(root: Path) -> None:
    for name in ("status.json", "results.json", "manifest.json"):
        (root / "one" / name).unlink()
        os.mkfifo(root / "one" / name)
    (root / "two" / "status.json").write_text("[" * 100_000)
    assert set(listed(root)) == {"one", "two"}
    assert "not a regular file" in refuse("report", root / "one")


def test_aliases_that_unfold_without_end_are_not_unfolded(root: Path) -> None:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(9)]
    (root / "one" / "config.yaml").write_text("\n".join([*lines, "agents: *a8"]))
    assert set(listed(root)) == {"one", "two"}
