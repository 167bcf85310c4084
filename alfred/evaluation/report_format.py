"""How a report writes numbers and verdicts."""

from __future__ import annotations

import numpy as np

from alfred.evaluation.significance import Verdict


def format_percent(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """Return a fraction as per cent with a true minus sign, or a dash when it does not exist."""
    return _format(100 * value, digits, sign) + ("" if np.isnan(value) else "%")


def format_number(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """Return a number with a true minus sign, or a dash when it does not exist."""
    return _format(value, digits, sign)


def format_p_value(value: float) -> str:
    """Return a p-value with three digits; a smaller one as a bound."""
    return "p < 0.001" if value < 0.0005 else f"p {_format(value, 3, False)}"


def format_probability(value: float) -> str:
    """Return a probability with three digits, never rounded up to certainty."""
    return "> 0.999" if value >= 0.9995 else _format(value, 3, False)


def format_cell(value: object) -> str:
    """Return a value of a free table: a float with four significant digits, anything else as it prints."""
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else str(value)


def write_headline(verdict: Verdict, name: str) -> str:
    """Return the verdict in one line."""
    if verdict.outcome == "cannot tell":
        return f"Cannot tell whether {name} beats {verdict.baseline}"
    return f"{name} {verdict.outcome} {verdict.baseline}"


def _format(value: float, digits: int, sign: bool) -> str:
    if not np.isfinite(value):
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")
