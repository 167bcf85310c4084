"""Compilation: how the few loops that every step runs through become machine code.

A step of one portfolio in numpy is nothing but the overhead of a hundred calls on arrays of thirty numbers. The loops
of the ledger are therefore written as loops and compiled by numba, once a machine: the first use takes seconds, later
processes read the result from a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers when it is first called; its types stay as they are.

    Sums may be taken in another order, which lets the processor add four or eight numbers at once; NaN stays NaN, and a
    division by zero gives what numpy gives. Nothing checks an index: callers check shapes first.
    """
    compile_function = numba.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    return cast("Callable[P, R]", compile_function(function))
