"""A search in a process of its own, to be killed: FOLDER N_TRIALS N_WORKERS STORAGE."""

from __future__ import annotations

import sys
from pathlib import Path

from alfred.training.search.crew import run_studies
from tests.search.objectives import make_plan


def main() -> None:
    folder, n_trials, n_workers, storage = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    run_studies([make_plan(folder / "log", n_trials, seconds=0.05)], storage, folder, n_workers=n_workers)


if __name__ == "__main__":
    main()
