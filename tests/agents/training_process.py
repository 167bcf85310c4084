"""A process that trains one agent and writes its policy: what the tests of killed trainings kill."""

from __future__ import annotations

from pathlib import Path

import torch

from alfred.agents.registry import make_agent
from tests.agents.tasks import make_task, make_tiny


def main(kind: str, folder: Path, changes: dict[str, object]) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)

    def progress(done: int) -> None:
        (folder / "progress").write_text(str(done), encoding="utf-8")

    policy = make_agent(make_tiny(kind, **changes)).train(make_task(folder, progress=progress))
    policy.save(folder)
