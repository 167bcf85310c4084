"""Run a session of cosmic-ray fast: every mutant in a fork of one process that has the libraries loaded.

`cosmic-ray exec` starts Python anew for each mutant, and torch, scipy and pandas take longer to load than most tests to
run. This reads the same configuration and writes the same session, so that `cr-report` and `cr-rate` work on it.

    python tests/mutants/plant.py tests/mutants/splits.toml session.sqlite

Run it in a copy of the repository: it writes faults into the module. Stopped by Ctrl-C it goes on where it stopped.
"""

from __future__ import annotations

import os
import resource
import shlex
import signal
import sys
import time
import tomllib
from pathlib import Path
from typing import Any


def load_libraries(arguments: list[str]) -> None:
    """Collect the tests once, then forget our own modules: what they import from elsewhere stays loaded."""
    import pytest

    pytest.main([*arguments, "--collect-only", "-qq"])
    for name in list(sys.modules):
        if name.split(".")[0] in ("alfred", "tests"):
            del sys.modules[name]


def run_tests(arguments: list[str], seconds: float) -> tuple[int, float]:
    """Run pytest in a fork that may use so many seconds of CPU; return its exit status and what it used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        import pytest
        from hypothesis import Phase, settings

        # What fails is dead: nobody asks for the smallest example.
        settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), database=None)
        settings.load_profile("mutants")
        try:
            status = int(pytest.main([*arguments, "--tb=no", "--no-header"]))
        except BaseException:  # whatever a mutant raises, it is dead
            status = 99
        os._exit(status)
    _, status = os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return os.waitstatus_to_exitcode(status), used


def main(config_path: str, session: str) -> None:
    """Run what is pending of a session."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

    config: dict[str, Any] = tomllib.loads(Path(config_path).read_text())["cosmic-ray"]
    words = shlex.split(config["test-command"])
    arguments = words[words.index("pytest") + 1 :]
    module = Path(config["module-path"])
    # A fault changes neither the size nor the second of a file for certain: no compiled copy may stand in for it.
    sys.dont_write_bytecode = True
    for cached in (module.parent / "__pycache__").glob(f"{module.stem}.cpython-*.pyc"):
        cached.unlink()
    # pytest writes compiled tests itself; they do not change.
    load_libraries(arguments)
    status, used = run_tests(arguments, 600)
    if status:
        raise SystemExit(f"the tests fail without a fault (status {status})")
    limit = 10 + 5 * used
    sys.stdout.write(f"without a fault {used:.1f} s; {limit:.0f} s at most with one\n")
    original = module.read_text()
    with use_db(session, WorkDB.Mode.open) as database:
        pending, start = list(database.pending_work_items), time.monotonic()
        try:
            for number, item in enumerate(pending):
                (spec,) = item.mutations
                changed = mutate_code(original, get_operator(spec.operator_name)(**spec.operator_args), spec.occurrence)
                if changed is None:
                    database.set_result(item.job_id, WorkResult(WorkerOutcome.NO_TEST))
                    continue
                module.write_text(changed)
                status, _ = run_tests(arguments, limit)
                outcome = TestOutcome.SURVIVED if status == 0 else TestOutcome.KILLED
                result = WorkResult(WorkerOutcome.NORMAL, f"exit status {status}", outcome, _diff(original, changed))
                database.set_result(item.job_id, result)
                if number % 25 == 24 or number + 1 == len(pending):
                    took = time.monotonic() - start
                    sys.stdout.write(f"{number + 1} of {len(pending)}, {took:.0f} s\n")
                    sys.stdout.flush()
        finally:
            module.write_text(original)


def _diff(before: str, after: str) -> str:
    import difflib

    return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
