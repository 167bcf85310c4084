"""Features of the user's own, by name; plugins and packages bring them."""

from __future__ import annotations

from typing import Any

from alfred.data.features.names import FAMILIES
from alfred.registry import Registry

_OWN = (*FAMILIES, *(name for family in FAMILIES.values() for name in family))
FEATURES: Registry[Any] = Registry("feature", "alfred.features", {}, {}, reserved=_OWN)
"""Functions from a market to values `[T, N]`, NaN where nothing is known; row t reads what is known at the close of t.

Registered with `FEATURES.register(my_feature, "my_feature")`; `alfred audit` says whether one sees the future.
"""
