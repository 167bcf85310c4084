"""How long a newcomer waits: `python benchmarks/bench_startup.py [--json]`.

CPU seconds of fresh processes, medians over rounds in which every command takes its turn; beside them an empty process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys

COMMANDS = {
    "an empty process": ["-c", "pass"],
    "import alfred": ["-c", "import alfred"],
    "import torch": ["-c", "import torch"],
    "alfred --help": ["-c", "from alfred.cli import main; main()", "--help"],
    "a mistyped key": ["-c", "from alfred.cli import main; main()", "run", "--set", "foo=1"],
    "a wrong value of an agent": ["-c", "from alfred.cli import main; main()", "run", "--set", "agents.0.gamma=5"],
}
ROUNDS = 7


def measure(arguments: list[str]) -> float:
    """Return the CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rounds = [{name: measure(words) for name, words in COMMANDS.items()} for _ in range(ROUNDS)]
    found = {name: round(statistics.median(item[name] for item in rounds), 3) for name in COMMANDS}
    if arguments.json:
        print(json.dumps({"cpu_seconds": found, "rounds": ROUNDS}, indent=2))
    else:
        for name, seconds in found.items():
            print(f"{name:28s} {seconds:6.3f} CPU s")


if __name__ == "__main__":
    main()
