"""What is told of a search: by hand, escaped, and without loading anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from alfred.cli import app
from alfred.errors import ConfigError
from alfred.training.search.crew import run_studies
from alfred.training.search.page import draw_convergence, write_search_report
from alfred.training.search.summary import summarise_study, tabulate_top
from tests.search.objectives import make_plan

X = optuna.distributions.FloatDistribution(0.0, 1.0)
FAMILY = optuna.distributions.CategoricalDistribution(["a", "<b>b</b>"])


def make_study(n: int = 24, direction: str = "minimize") -> optuna.Study:
    """Family a is x away from 1, family b is 2 away from everything; two trials failed, one was cut off."""
    study = optuna.create_study(study_name="search.one@abc", direction=direction)
    for number in range(n):
        family, x = ("a", number / (n - 1)) if number % 2 else ("<b>b</b>", 0.5)
        params = {"family": family, "a.x": x} if family == "a" else {"family": family}
        domains = {"family": FAMILY, "a.x": X} if family == "a" else {"family": FAMILY}
        value = 1.0 - x if family == "a" else 2.0
        study.add_trial(create_trial(params=params, distributions=domains, value=value))
    for error in ("first", "<i>second</i>"):
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"error": error}))
    study.add_trial(create_trial(state=TrialState.FAIL))
    return study


def test_a_summary_by_hand() -> None:
    found = summarise_study(make_study())
    assert (found.name, found.best, found.best_trial) == ("search.one", 0.0, 23)
    assert found.counts == {"complete": 24, "failed": 2, "cut off": 1}
    assert found.n_looks == 26
    # The best and its five neighbours in family a: x = 23/23, 21/23, ..., 13/23.
    assert found.plateau == pytest.approx(np.mean([1 - x / 23 for x in range(13, 24, 2)]))
    assert found.convergence[:4] == pytest.approx((2.0, 1 - 1 / 23, 1 - 1 / 23, 1 - 3 / 23))
    assert found.edges == ("a.x = 1, the upper end of its range",)
    assert found.last_error == "<i>second</i>"
    assert found.importance["all"] == {"family": 1.0} and found.importance["a"] == {"x": 1.0}


def test_a_trial_that_was_stopped_is_never_the_best() -> None:
    study = make_study()
    study.add_trial(create_trial(params={}, distributions={}, value=-9.0, user_attrs={"stopped_after": 2}))
    found = summarise_study(study)
    assert found.best == 0.0 and found.counts["pruned"] == 1
    assert tabulate_top(study)["value"].min() == 0.0


def test_curves_of_several_studies_begin_together_whatever_their_sign() -> None:
    one, two = (
        replace(summarise_study(make_study()), convergence=values) for values in ((-0.5, -0.1, 0.5), (2.0, 3.0))
    )
    lines = draw_convergence([one, two]).axes[0].get_lines()
    assert list(lines[0].get_ydata()) == pytest.approx([0.0, 0.4, 1.0])


def test_what_is_maximised_is_told_so() -> None:
    found = summarise_study(make_study(direction="maximize"))
    assert found.best == 2.0 and found.convergence[-1] == 2.0
    assert tabulate_top(make_study(direction="maximize"))["value"].iloc[0] == 2.0


def test_the_page_escapes_and_loads_nothing(tmp_path: Path) -> None:
    files = write_search_report(tmp_path, "<script>alert(1)</script>", [make_study()])
    page = files[0].read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "<b>b</b>" not in page and "<i>second" not in page
    assert "http" not in page.replace("http-equiv", "")
    table = pd.read_csv(tmp_path / "top10.csv")
    assert len(table) == 10 and table["value"].is_monotonic_increasing
    assert {path.name for path in files} == {"report.html", "top10.csv", "convergence.png", "importance.png"}
    assert all((tmp_path / path.name).stat().st_size > 100 for path in files)


def test_a_search_without_a_finished_trial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no trial of 'empty' was finished yet"):
        write_search_report(tmp_path, "empty", [optuna.create_study(study_name="empty@1")])


def test_the_commands(tmp_path: Path) -> None:
    folder = tmp_path / "tuning"
    place = folder / "square"
    place.mkdir(parents=True)
    run_studies([make_plan(place / "log", 4)], str(place / "journal.log"), place, n_workers=1)
    runner = CliRunner()
    listed = runner.invoke(app, ["tune", "list", "--folder", str(folder), "--json"])
    assert json.loads(listed.stdout) == [{"search": "square", "studies": 1, "trials": 4, "failed": 0}]
    found = runner.invoke(app, ["tune", "report", "square", "--folder", str(folder), "--json"])
    told = json.loads(found.stdout)
    assert told["studies"][0]["n_looks"] == 4 and Path(told["files"][0]).is_file()
    for command in ("report", "dashboard"):
        arguments = [command] if command == "dashboard" else ["tune", command]
        wrong = runner.invoke(app, [*arguments, "sqare", "--folder", str(folder)])
        assert wrong.exit_code == 2 and "Did you mean 'square'" in wrong.output
    shared = runner.invoke(
        app, ["tune", "report", "other", "--folder", str(folder), "--storage", str(place / "journal.log")]
    )
    assert shared.exit_code == 2 and "known: square" in shared.output
    outside = runner.invoke(app, ["tune", "report", "../square", "--folder", str(folder)])
    assert outside.exit_code == 2 and "cannot be the name" in outside.output
