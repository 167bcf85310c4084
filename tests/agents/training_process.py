"""A process that trains one agent and writes its policy: what the tests of killed trainings kill.

Usage: python -m tests.agents.training_process KIND FOLDER CHANGES, with changes of the settings in JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from alfred.agents.registry import make_agent
from tests.agents.tasks import make_task, make_tiny


def main(kind: str, folder: Path, changes: str) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)

    def progress(done: int) -> None:
        (folder / "progress").write_text(str(done), encoding="utf-8")

    policy = make_agent(make_tiny(kind, **json.loads(changes))).train(make_task(folder, progress=progress))
    policy.save(folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
