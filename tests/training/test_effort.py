"""How much work a run is, told before it begins; and a finished run given again."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from alfred.config import load_experiment
from alfred.data.sources import load_market
from alfred.errors import ConfigError
from alfred.training.effort.count import count_effort, format_duration, require_meant
from alfred.training.effort.timings import TIMINGS_FILE, read_factors, write_timing
from alfred.training.judging import finished
from alfred.training.judging.finished import SUMMARY_FILE, read_finished
from alfred.training.prepared import cut_folds
from tests.commands import call, refuse
from tests.conftest import make_random_market
from tests.test_cli import QUICK, settings
from tests.training.small import make_small, run_small, write_market, write_prices


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("effort")
    write_market(folder / "prices.csv", make_random_market(760))
    return folder


def count(world: Path, *overrides: str, root: Path | None = None):
    experiment = load_experiment(None, [f"data.path={world / 'prices.csv'}", *QUICK, *overrides])
    market = load_market(experiment.data)
    return count_effort(experiment, market, cut_folds(market, experiment), root or world / "none")


def test_trainings_and_fits_are_counted_as_they_are_made(world) -> None:
    effort = count(world, "forecast.refit_every_days=100", "training={n_seeds: 3, n_jobs: 1}", "splits.n_folds=2")
    # 760 sessions, the first fit after 300: fits at 299, 399, ..., 699 by two analysts.
    assert effort.fits == 5 * 2
    # Two folds, three seeds, four held-out blocks and the training on all of it.
    assert effort.trainings == 2 * 3 * 5
    assert "30 trainings (2 folds x 3 seeds x 5 blocks with the last on all x 1 agents)" in effort.describe()
    assert "10 fits of analysts: about" in effort.describe()


def test_what_was_timed_here_corrects_the_estimate(world, tmp_path) -> None:
    plain = count(world, "agents.0.total_steps=1000000", root=tmp_path)
    write_timing(tmp_path, "agent ppo", 10.0, 30.0)
    write_timing(tmp_path, "agent ppo", 10.0, 0.1)  # read from a cache
    with (tmp_path / TIMINGS_FILE).open("a") as file:
        file.write('{"what": "agent pp')
    assert read_factors(tmp_path) == {"agent ppo": pytest.approx(3.0)}
    slow = count(world, "agents.0.total_steps=1000000", root=tmp_path)
    assert slow.seconds == pytest.approx(3 * plain.seconds, rel=0.05)


def test_days_of_work_must_be_meant(world) -> None:
    absurd = count(world, "agents.0.total_steps=1000000000")
    with pytest.raises(ConfigError, match=r"about \d+ days .* is agent ppo: lower agents.0.total_steps") as caught:
        require_meant(absurd, yes=False)
    assert "--yes" in str(caught.value)
    require_meant(absurd, yes=True)
    require_meant(count(world), yes=False)
    overrides = settings(f"data.path={world / 'prices.csv'}", *QUICK, "agents.0.total_steps=1000000000")
    assert "training.n_seeds" in refuse("run", *overrides, "--runs", world / "refused")
    assert not (world / "refused").exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 second"), (40, "40 seconds"), (200, "3 minutes"), (8000, "2.2 hours"), (4e5, "4.6 days")],
)
def test_a_duration_is_as_rough_as_the_estimate(seconds, text) -> None:
    assert format_duration(seconds) == text


def test_a_finished_run_is_printed_at_once_until_something_changes(world, monkeypatch) -> None:
    root = world / "runs"
    words = ["run", *settings(f"data.path={world / 'prices.csv'}", *QUICK), "--runs", root]
    first = call(*words, "--json")
    assert first.exit_code == 0, first.output
    assert re.search(r"5 trainings .* and 2 fits of analysts: about", first.stderr)
    assert set(read_factors(root)) == {"analyst naive", "analyst momentum", "agent ppo"}
    assert json.loads(first.stdout)["run"] == str(root / "demo")

    again = call(*words, "--json")
    assert again.stdout == first.stdout
    assert again.stderr.splitlines() == [f"{root / 'demo'} is finished, and nothing that it was made from has changed"]
    table = call(*words).stdout
    assert "report: " in table and table.count("ppo") > 2

    # Whatever differs goes through the stages: the data, the log of trials, a file of the run, the configuration.
    experiment = load_experiment(root / "demo" / "config.yaml")
    assert read_finished(experiment, root) is not None
    monkeypatch.setattr(finished, "describe_announced", lambda: "a package that was changed")
    assert read_finished(experiment, root) is None
    monkeypatch.undo()
    assert read_finished(experiment, root) is not None
    log = root / "trials.jsonl"
    content = log.read_bytes()
    log.write_bytes(content + b"\n")
    assert read_finished(experiment, root) is None
    log.write_bytes(content)
    assert read_finished(experiment, root) is not None
    assert read_finished(experiment.model_copy(update={"n_trials": 7}), root) is None
    # What is printed is vouched for as well.
    summary = root / "demo" / SUMMARY_FILE
    kept = json.loads(summary.read_text())
    kept["rows"][0]["sharpe"] = 9.99
    summary.write_text(json.dumps(kept))
    assert read_finished(experiment, root) is None
    through = call(*words, "--json")
    assert "made before" in through.stderr and through.stdout == first.stdout
    assert "is finished" in call(*words).stderr

    # A result, or data, of other content with the times and the size of before: the time of that cannot be set.
    for path in (world / "prices.csv", root / "demo" / "results.json"):
        times = path.stat()
        path.write_bytes(path.read_bytes()[:-1] + b" ")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert read_finished(experiment, root) is None
        call(*words)
        assert read_finished(experiment, root) is not None


def test_a_folder_of_prices_may_be_named_by_any_word(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prices").mkdir()
    write_market(Path("prices/all.csv"), make_random_market(20))
    experiment = load_experiment(None, ["data.path=prices"])
    before = finished.digest_inputs(experiment)
    assert before is not None and before == finished.digest_inputs(experiment)
    write_market(Path("prices/all.csv"), make_random_market(21))
    assert finished.digest_inputs(experiment) != before
    assert finished.digest_inputs(load_experiment(None, ["data.path=a" + "b" * 5000])) is not None


def test_data_that_change_while_a_run_is_made_are_not_those_that_it_read(tmp_path) -> None:
    prices = write_prices(tmp_path)
    experiment = make_small(prices)
    begun = finished.digest_inputs(experiment)
    prepared, _, rows = run_small(tmp_path / "runs", experiment)
    told = finished.summarise(prepared, rows)
    with prices.open("ab") as file:
        file.write(b"\n")
    finished.keep_finished(told, experiment, begun)
    assert read_finished(experiment, tmp_path / "runs") is None
    # Judged by another process before it could be kept.
    begun = finished.digest_inputs(experiment)
    finished.keep_finished(replace(told, rows=[replace(rows[0], sharpe=9.99), *rows[1:]]), experiment, begun)
    assert read_finished(experiment, tmp_path / "runs") is None
    finished.keep_finished(told, experiment, begun)
    assert read_finished(experiment, tmp_path / "runs") is not None
