"""What an evaluation found, kept beside its records: a page is drawn from it again without computing it again.

It holds while its key is the same: records, what they were made from, how they are judged, and the code that judges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from alfred.data.files import compute_checksum, read_json, write_atomically
from alfred.evaluation.behaviour import Behaviour
from alfred.evaluation.breakdown.breakdown import Breakdown
from alfred.evaluation.report.numbers import Numbers
from alfred.training.provenance.fingerprint import fingerprint_code
from alfred.training.provenance.stages import compute_digest

FINDINGS_FILE = "findings.json"
_CODE = (
    "alfred.evaluation.report.numbers",
    "alfred.evaluation.breakdown.breakdown",
    "alfred.evaluation.behaviour",
    "alfred.evaluation.forecast_metrics",
    "alfred.training.judging.caveats",
)


@dataclass(frozen=True, eq=False)
class Findings:
    """What takes long to find out about records.

    Attributes:
        behaviours: What every agent did, by its label.
        breakdown: What the book of the judged agent was made of.
        skill: What `compute_signal_skill` returned.
        numbers: The numbers of the page.
    """

    behaviours: dict[str, Behaviour]
    breakdown: Breakdown
    skill: pd.DataFrame
    numbers: Numbers


def make_key(folder: Path, judged_by: Mapping[str, Any]) -> str:
    """Return what findings depend on, as a digest.

    Args:
        folder: Of the records, with their stage and those of the seeds.
        judged_by: Everything beside records and code that counts, in plain values.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FINDINGS_FILE)
    sums = {str(path.relative_to(folder)): compute_checksum(path) for path in files}
    return compute_digest(sums, judged_by, fingerprint_code(modules=_CODE, alone=(__name__,)))


def read_findings(folder: Path, key: str) -> Findings | None:
    """Return the findings of records, or None when there are none under this key."""
    try:
        raw = read_json(folder / FINDINGS_FILE)
        if not isinstance(raw, dict) or raw.get("key") != key:
            return None
        return Findings(
            behaviours=TypeAdapter(dict[str, Behaviour]).validate_python(raw["behaviours"]),
            breakdown=TypeAdapter(Breakdown).validate_python(raw["breakdown"]),
            skill=pd.DataFrame(**raw["skill"]),
            numbers=Numbers.from_json(raw["numbers"]),
        )
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def write_findings(folder: Path, key: str, found: Findings) -> None:
    """Write the findings of records under their key."""
    raw = {
        "key": key,
        "behaviours": TypeAdapter(dict[str, Behaviour]).dump_python(found.behaviours),
        "breakdown": TypeAdapter(Breakdown).dump_python(found.breakdown),
        "skill": _split(found.skill),
        "numbers": found.numbers.to_json(),
    }
    text = json.dumps(raw)
    write_atomically(folder / FINDINGS_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def _split(table: pd.DataFrame) -> dict[str, Sequence[Any]]:
    """Return a table as lists, whose numbers are exact in JSON."""
    parts = table.to_dict("split")
    return {"data": parts["data"], "columns": parts["columns"]}
