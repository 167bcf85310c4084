"""What happened to a registry: which new bests were compared on which sessions, what was replaced, and the way back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock

from alfred.analysts.chosen.entries import BestEntry, check_symbol
from alfred.data.files import parse_json, read_bytes, read_json, write_atomically
from alfred.errors import CheckpointError, ConfigError

_LOOKS_FILE, _BACKUPS, _MANIFEST, _UNDONE = ".looks.jsonl", ".backups", "manifest.json", "undone"
_PLACES = (_BACKUPS, f"{_BACKUPS}/{_UNDONE}")


@dataclass(frozen=True)
class Look:
    """A comparison.

    Attributes:
        symbol: Whom the analyst forecasts.
        analyst: Its settings as JSON.
        first: First session of the holdout.
        last: Last one.
        how: What else was chosen: what stood, and how often was forecast and refitted.
    """

    symbol: str
    analyst: str
    first: date
    last: date
    how: str = ""


class History:
    """The looks at the holdout of one registry.

    Args:
        registry: Its folder.
    """

    def __init__(self, registry: Path) -> None:
        """Keep the place."""
        self._path = registry / _LOOKS_FILE

    def count(self, look: Look) -> int:
        """Return how many comparisons of the symbol were made on overlapping sessions, this one included."""
        others = {
            (item.analyst, item.first, item.last, item.how)
            for item in self._read()
            if item.symbol == look.symbol and item.first <= look.last and look.first <= item.last
        }
        return len(others | {(look.analyst, look.first, look.last, look.how)})

    def note(self, look: Look) -> int:
        """Enter a look, once however often it is repeated; return `count`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(f"{_LOOKS_FILE}.lock")):
            if look not in self._read():
                with self._path.open("a", encoding="utf-8") as file:
                    # An empty line first: after a torn one this begins afresh.
                    file.write("\n" + json.dumps(asdict(look), default=str) + "\n")
        return self.count(look)

    def _read(self) -> list[Look]:
        try:
            lines = read_bytes(self._path).decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        looks = []
        for line in lines:
            try:
                raw = parse_json(line)
                first, last = (date.fromisoformat(raw[name]) for name in ("first", "last"))
                looks.append(Look(str(raw["symbol"]), str(raw["analyst"]), first, last, str(raw.get("how", ""))))
            except (ValueError, KeyError, TypeError):
                continue  # a line that a crash tore
        return looks


def write_entries(registry: Path, entries: Iterable[BestEntry]) -> Path | None:
    """Write entries into a registry, after a backup of what they replace; return the backup, if there is any entry."""
    new = list(entries)
    if not new:
        return None
    # Numbered: a clock may be set back between two writings.
    number = max((_number(path) for place in _PLACES for path in (registry / place).glob("*")), default=0) + 1
    backup = registry / _BACKUPS / f"{number:06d}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    standing = [path for path in (registry / f"{entry.symbol}.yaml" for entry in new) if path.exists()]
    for path in standing:
        write_atomically(backup / path.name, partial(shutil.copyfile, path))
    replaced = [path.stem for path in standing]
    added = [entry.symbol for entry in new if entry.symbol not in replaced]
    manifest = json.dumps({"replaced": replaced, "added": added})
    write_atomically(backup / _MANIFEST, lambda path: path.write_text(manifest, encoding="utf-8"))
    for entry in new:
        entry.write(registry)
    return backup


def _number(backup: Path) -> int:
    """Return which writing a backup was made before; 0 for those of earlier versions, which have only their time."""
    head = backup.name.partition("-")[0]
    return int(head) if head.isdecimal() else 0


def roll_back(registry: Path) -> dict[str, list[str]]:
    """Undo the last writing; return which symbols were restored, and which removed because they were new.

    Raises:
        CheckpointError: There is nothing to undo, or the backup is damaged.
    """
    found = [path for path in (registry / _BACKUPS).glob("*") if (path / _MANIFEST).is_file()]
    backups = sorted(found, key=lambda path: (_number(path), path.name))
    if not backups:
        raise CheckpointError(f"nothing was written into {registry} that could be undone")
    backup = backups[-1]
    try:
        manifest = read_json(backup / _MANIFEST)
        restored = [BestEntry.read(backup / f"{symbol}.yaml") for symbol in manifest["replaced"]]
        removed = [check_symbol(str(symbol)) for symbol in manifest["added"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"the backup {backup} is damaged ({error}); restore {registry} by hand") from error
    for entry in restored:
        entry.write(registry)
    for symbol in removed:
        (registry / f"{symbol}.yaml").unlink(missing_ok=True)
    undone = registry / _BACKUPS / _UNDONE
    undone.mkdir(exist_ok=True)
    shutil.move(str(backup), undone / backup.name)
    return {"restored": [entry.symbol for entry in restored], "removed": removed}
