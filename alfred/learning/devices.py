"""Where torch computes, by the name that a configuration gives."""

from __future__ import annotations

import torch

from alfred.errors import ConfigError
from alfred.learning.settings import Device


def find_device(name: Device) -> torch.device:
    """Return the device of a name; `auto` is a GPU that torch can use, else the CPU.

    Raises:
        ConfigError: A GPU is asked for and torch sees none.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ConfigError("device is 'cuda', but torch sees no GPU; use 'auto' or 'cpu', or install torch with CUDA")
    return torch.device("cuda" if found and name != "cpu" else "cpu")
