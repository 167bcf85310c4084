"""Run a benchmark and keep its figures: one JSON line for each run in `benchmarks/history.jsonl`.

    python benchmarks/record.py bench_env [--machine NAME] [-- --quick]

What stands behind `--` goes to the benchmark. A line holds the date, the commit, the machine (by default the model of
its processor) with its cores and its load at the start, and what the benchmark printed. Compare lines of one machine
only, and of those the ratios first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
HISTORY = HERE / "history.jsonl"


def name_processor() -> str:
    """Return the model of the processor, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def describe_commit() -> str:
    """Return the commit that was measured, with `-dirty` behind it when files were changed since."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=sorted(path.stem for path in HERE.glob("bench_*.py")))
    parser.add_argument("--machine", default=name_processor(), help="name of this machine [its processor]")
    parser.add_argument("arguments", nargs="*", help="arguments of the benchmark, behind --")
    options = parser.parse_args()
    line: dict[str, object] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "benchmark": options.benchmark,
        "arguments": options.arguments,
        "commit": describe_commit(),
        "machine": options.machine,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    command = [sys.executable, str(HERE / f"{options.benchmark}.py"), "--json", *options.arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{options.benchmark} ended with {done.returncode}; nothing was recorded")
    try:
        line["result"] = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"{options.benchmark} --json printed something that is not one JSON value; nothing was recorded")
    with HISTORY.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line["result"], indent=2))


if __name__ == "__main__":
    main()
