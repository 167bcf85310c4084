"""What a shell completes: runs, files of configurations and keys. Nothing here loads torch or pandas."""

from __future__ import annotations

from pathlib import Path

import typer

_ENDINGS = (".yaml", ".yml")


def complete_key(incomplete: str) -> list[str]:
    """Return the keys that begin so, as far as the next dot."""
    from alfred.config_reference import list_keys

    depth = incomplete.count(".")
    found = [key for key in list_keys() if key.path.startswith(incomplete) and key.path.count(".") == depth]
    if len(found) == 1 and found[0].is_section:
        found += [key for key in list_keys() if key.section == found[0].path]
    return [key.path for key in found]


def complete_override(context: typer.Context, incomplete: str) -> list[str]:
    """Return `KEY=VALUE` for the keys that begin so, with the default, or with each value that is accepted.

    The lists of the configuration that is typed before are stepped into by number, as `--set` does.
    """
    from alfred.config import DEFAULT_LISTS, REGISTRIES, Experiment
    from alfred.keys.describe import list_model_keys

    key, separator, value = incomplete.partition("=")
    keys = [item for item in list_model_keys(Experiment) if item.path.partition(".")[0] not in REGISTRIES]
    lists = {**DEFAULT_LISTS, **_read_lists(context.params.get("config"))}
    for name, entries in lists.items():
        for position, entry in enumerate(entries):
            kind = entry.get("kind") if isinstance(entry, dict) else None
            if incomplete.startswith(f"{name}.") and kind in REGISTRIES[name]:
                keys.extend(list_model_keys(REGISTRIES[name].load_settings(kind), f"{name}.{position}"))
    if separator:
        found = next((item.choices or (item.default,) for item in keys if item.path == key), ())
        return [f"{key}={choice}" for choice in found if choice.startswith(value)]
    depth = key.count(".")
    begun = [item for item in keys if item.path.startswith(key)]
    below = {".".join(item.path.split(".")[: depth + 1]) + "." for item in begun if item.path.count(".") > depth}
    plain = [f"{item.path}={item.default}" for item in begun if item.path.count(".") == depth and not item.is_section]
    return sorted({*plain, *below})


def _read_lists(config: object) -> dict[str, list[dict[str, object]]]:
    """Return the lists of a configuration, or nothing where it cannot be read: a shell must not be told of mistakes."""
    from alfred.config import DEFAULT_LISTS
    from alfred.data.files import read_text
    from alfred.keys.yaml_text import parse_yaml

    try:
        raw = parse_yaml(read_text(str(config)))
    except (OSError, ValueError):
        return {}
    found = raw if isinstance(raw, dict) else {}
    return {name: found[name] for name in DEFAULT_LISTS if isinstance(found.get(name), list)}


def complete_run(incomplete: str) -> list[str]:
    """Return the directories of runs that begin so, those in the folder `runs` among them, and folders on the way."""
    path = Path(incomplete)
    folder = path if incomplete.endswith("/") else path.parent
    found = [item for item in _list_folder(folder) if item.is_dir()]
    if "/" not in incomplete:
        found += [item for item in _list_folder(Path("runs")) if (item / "config.yaml").is_file()]
    runs = [item.as_posix() if (item / "config.yaml").is_file() else f"{item.as_posix()}/" for item in found]
    return [name for name in runs if name.startswith(incomplete)]


def complete_agent(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the agents of the run that is typed before."""
    run = context.params.get("path") or context.params.get("run")
    agents = _read_lists(Path(str(run)) / "config.yaml").get("agents", [])
    names = [str(item.get("name") or item.get("kind")) for item in agents if isinstance(item, dict)]
    return [name for name in names if name.startswith(incomplete)]


def complete_config(incomplete: str) -> list[str]:
    """Return the files of configurations that begin so, and the folders on the way."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    found = [f"{item.as_posix()}/" if item.is_dir() else item.as_posix() for item in _list_folder(folder)]
    return [name for name in found if name.startswith(incomplete) and name.endswith(("/", *_ENDINGS))]


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(item for item in folder.iterdir() if not item.name.startswith("."))
    except OSError:
        return []
