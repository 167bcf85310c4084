"""How a report writes numbers and verdicts."""

from __future__ import annotations

from typing import Protocol

import numpy as np

# Digits that a number may be given to show on which side of zero it lies.
_MOST_DIGITS = 6


class Compared(Protocol):
    """What a comparison says: whether a baseline was beaten."""

    @property
    def baseline(self) -> str:
        """Name of the baseline."""

    @property
    def outcome(self) -> str:
        """The verdict in one word."""


def format_percent(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """Return a fraction as per cent with a true minus sign, or a dash when it does not exist."""
    return _format(100 * value, digits, sign) + ("%" if np.isfinite(value) else "")


def format_level(level: float) -> str:
    """Return the level of an interval as per cent, with every digit that it has."""
    return f"{100 * level:g}%"


def format_number(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """Return a number with a true minus sign, or a dash when it does not exist."""
    return _format(value, digits, sign)


def format_interval(low: float, high: float, between: str = " to ") -> str:
    """Return both ends of an interval of differences, with the digits that show on which side of zero they lie.

    An end that two digits round to zero would say that zero is inside, or at the edge, where it is not.
    """
    return f"{_format_end(low)}{between}{_format_end(high)}"


def format_p_value(value: float) -> str:
    """Return a p-value with three digits; a smaller one as a bound."""
    return "p < 0.001" if value < 0.0005 else f"p {_format(value, 3, False)}"


def format_probability(value: float) -> str:
    """Return a probability with three digits, never rounded up to certainty."""
    return "> 0.999" if value >= 0.9995 else _format(value, 3, False)


def format_cell(value: object) -> str:
    """Return a value of a free table: a float with four significant digits, anything else as it prints."""
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else str(value)


def format_difference(value: float) -> str:
    """Return a difference with its sign, and the digits that show on which side of zero it lies."""
    return _format_end(value)


def write_verdict(verdict: Compared, name: str) -> str:
    """Return the verdict in one line."""
    if verdict.outcome == "did not learn":
        return f"{name} did not learn to beat {verdict.baseline}"
    if verdict.outcome == "cannot tell":
        return f"Cannot tell whether {name} beats {verdict.baseline}"
    return f"{name} {verdict.outcome} {verdict.baseline}"


def _format_end(value: float) -> str:
    digits = 2
    while value and np.isfinite(value) and not round(value, digits) and digits < _MOST_DIGITS:
        digits += 1
    return _format(value, digits, True)


def _format(value: float, digits: int, sign: bool) -> str:
    if not np.isfinite(value):
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")
