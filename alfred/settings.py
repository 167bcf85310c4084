"""The base of every configuration model.

A model stands beside the thing that it configures and holds its defaults; `alfred.config` only composes them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen configuration in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
