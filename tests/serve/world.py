"""A folder of runs with everything in it that a page may meet: whole, damaged and hostile."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState, create_trial

from alfred.training.live.account import ACCOUNT_FILE, JOURNAL_FILE, write_day
from alfred.training.live.desk import Day
from alfred.training.live.journal import Journal
from alfred.training.search.storage import open_storage
from tests.training.small import make_small, run_small, write_prices

HOSTILE = "<img src=x onerror=alert(1)>&\"' %2e"
SCRIPT = "</pre></script><script>alert(1)</script>"
SECRET = "what nobody may read"
SMALL_FILES = ("config.yaml", "manifest.json", "results.json", "report.html", "status.json")


def make_world(folder: Path) -> Path:
    """Return the folder of runs; accounts stand in `paper` beside it, and what must not be read in `outside`."""
    root = folder / "runs"
    outside = folder / "outside"
    outside.mkdir()
    for name in SMALL_FILES:
        (outside / name).write_text(SECRET)
    run_small(root, make_small(write_prices(folder)))
    run_small(root, make_small(folder / "prices.csv", name="other", env={"cost_bps": 20}))
    small = root / "small"

    hostile = _copy(small, root / HOSTILE)
    rows = json.loads((small / "results.json").read_text())
    rows[0] |= {"headline": SCRIPT, "headline_tone": '" onload="alert(1)', "benchmark_verdict": "\ud800"}
    (hostile / "results.json").write_text(json.dumps(rows))
    (hostile / "log.txt").write_bytes(b"2026-01-01  \xff\xfe\0 " + SCRIPT.encode())
    (hostile / "progress.json").write_text(
        json.dumps({"began": SCRIPT, "updated": SCRIPT, "pieces": [[SCRIPT, 1, 3], ["x", "y", 1]]})
    )

    failed = _copy(small, root / "failed")
    told = {"command": "run", "outcome": "failed", "began": "2026-01-01", "reason": SCRIPT}
    (failed / "status.json").write_text(json.dumps(told))
    (failed / "error.log").write_text(f"Traceback of {SCRIPT}")
    torn = _copy(small, root / "torn")
    (torn / "manifest.json").write_text((small / "manifest.json").read_text()[:100])
    (root / "leaving").symlink_to(outside)
    for name, file in (("linked", "config.yaml"), ("linked-report", "report.html")):
        (_copy(small, root / name) / file).unlink()
        (root / name / file).symlink_to(outside / file)
    (_copy(small, root / "pipe") / "results.json").unlink()
    os.mkfifo(root / "pipe" / "results.json")
    with (_copy(small, root / "huge") / "results.json").open("wb") as file:
        file.truncate(1 << 30)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "report.html").write_text(SECRET)
    (root / os.fsdecode(b"no\xfftext")).mkdir()
    (root / "a-file").write_text("no folder")

    _write_search(root / "tuning" / "found")
    shutil.copy(root / "tuning" / "found" / "journal.log", folder / "storage.log")
    _write_account(folder / "paper" / "mine", small)
    broken = folder / "paper" / "broken"
    broken.mkdir()
    (broken / ACCOUNT_FILE).write_text("{")
    return root


def _copy(run: Path, place: Path) -> Path:
    place.mkdir()
    for name in SMALL_FILES:
        shutil.copy(run / name, place / name)
    (place / "backtests").mkdir()
    shutil.copy(run / "backtests" / "stage.json", place / "backtests" / "stage.json")
    return place


def _write_search(folder: Path) -> None:
    folder.mkdir(parents=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="found@abc", storage=open_storage(str(folder / "journal.log")))
    domains = {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}
    domains["family"] = optuna.distributions.CategoricalDistribution([SCRIPT])
    for number in range(12):
        params = {"x": number / 11, "family": SCRIPT}
        study.add_trial(create_trial(params=params, distributions=domains, value=1.0 - number / 11))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"error": SCRIPT}))
    study.ask()


def _write_account(folder: Path, run: Path) -> None:
    folder.mkdir(parents=True)
    terms = {"run": str(run), "agent": "direct", "start": "2020-01-02", "capital": 1000.0, "broker": "csv"}
    (folder / ACCOUNT_FILE).write_text(json.dumps({**terms, "symbols": ["A<b>", "B"]}))
    journal = Journal(folder / JOURNAL_FILE)
    for number, date in enumerate(pd.bdate_range("2020-01-02", periods=5)):
        wealth = 1.0 + 0.01 * number
        decision = None if number == 4 else np.array([0.5, 0.25, 0.25])
        weights = np.array([0.5, 0.3, 0.2])
        journal.add(write_day(Day(date, wealth, 0.001, 0.1, weights, 0.0, 0.0, decision, 0, None)))
