"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))
SAID = {
    "own_analyst": ("reversal.expected_return_1", []),
    "notebook": ("kB in runs/notebook/report.html", ["runs"]),
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path) -> None:
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, written = SAID[path.stem]
    assert said in done.stdout
    assert [item.name for item in tmp_path.iterdir()] == written
    assert "WARN" not in done.stderr
