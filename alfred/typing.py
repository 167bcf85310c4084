"""Names of the arrays that all rooms hand to one another; shapes stand in the docstrings that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Float: TypeAlias = npt.NDArray[np.float64]
"""Numbers in double precision: what the ledger counts in."""

FloatArray: TypeAlias = npt.NDArray[np.floating]
"""Numbers in any floating type."""

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.integer]

Observation: TypeAlias = dict[str, npt.NDArray[np.float32]]
"""What a policy sees, by name, each array with a batch axis in front; see `alfred.envs.observations`."""

Tensors: TypeAlias = "dict[str, torch.Tensor]"
"""Observations or parameters in torch, by name."""
