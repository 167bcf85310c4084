"""What analysts share whose forecasts are a function of named numbers of each window: those can be taken away."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt

from alfred.data.contexts import Contexts

Alter = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""Returns other inputs of the same shape, `[B, ..., F]`."""


class ReadsInputs(ABC):
    """Part of an analyst that turns each window into named inputs and forecasts from those alone.

    Attributes:
        missing: What stands for an input that is not known.
    """

    missing: float = float("nan")
    _alter: Alter | None = None

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, `[F]`, in the order of their last axis."""

    @contextmanager
    def altering(self, alter: Alter) -> Iterator[None]:
        """Let forecasts read other inputs than those of their windows, to see what they owe to them.

        Args:
            alter: Is handed the inputs of the windows of a batch, `[B, ..., F]`, and must not change them.
        """
        self._alter = alter
        try:
            yield
        finally:
            self._alter = None

    def read_inputs(self, contexts: Contexts) -> npt.NDArray[Any]:
        """Return the inputs of each window as a forecast reads them, altered or not, `[B, ..., F]`.

        Args:
            contexts: Windows with the analyst's `fields` and `context_length`.
        """
        values = self._make_inputs(contexts)
        return values if self._alter is None else self._alter(values)

    @abstractmethod
    def _make_inputs(self, contexts: Contexts) -> npt.NDArray[Any]:
        """Return the inputs of each window, `[B, ..., F]`."""
