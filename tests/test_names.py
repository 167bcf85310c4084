"""Every name that becomes a path is checked in one place."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from alfred.errors import ConfigError
from alfred.settings import MAX_NAME_LENGTH, Name, Settings, check_name

HOSTILE = (
    "",
    " ",
    ".",
    "..",
    "../../../evil",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "C:evil",
    ".hidden",
    "a\nb",
    "a\n",
    "a\x00b",
    "~root",
    "$HOME",
    "a;b",
    "*",
    " a",
    "a ",
    "a.",
    "-rf",
    "a\u2044b",
    "a\uff0fb",
    "x" * (MAX_NAME_LENGTH + 1),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of this agent"):
        check_name(name, "agent")


@pytest.mark.parametrize("name", ["ppo", "PPO 2", "equal weight", "v1.2-b", "_own", "x" * MAX_NAME_LENGTH, "7"])
def test_plain_names_are_returned(name: str) -> None:
    assert check_name(name, "agent") == name


def test_symbols_take_the_signs_that_exchanges_use() -> None:
    assert check_name("^GSPC", "symbol", also="^=") == "^GSPC"
    assert check_name("EURUSD=X", "symbol", also="^=") == "EURUSD=X"
    with pytest.raises(ConfigError, match=r"'\^GSPC' cannot be the name of this symbol"):
        check_name("^GSPC", "symbol")
    with pytest.raises(ConfigError):
        check_name("../^X", "symbol", also="^=")


def test_a_field_of_a_configuration_is_refused_by_its_key() -> None:
    class Named(Settings):
        label: Name | None = None

    assert Named(label="equal weight").label == "equal weight"
    assert Named().label is None
    with pytest.raises(ValidationError, match=r"label\n.*'\.\./x' cannot be the name"):
        Named(label="../x")


@pytest.mark.parametrize("name", ["NUL", "con", "PRN.txt", "aux.parquet.json", "COM1", "lpt9.x", "nul .txt"])
def test_devices_of_windows_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is a device on Windows"):
        check_name(name, "agent")
    for harmless in ("COM0", "console", "nul-1", "my.con"):
        assert check_name(harmless, "agent") == harmless
