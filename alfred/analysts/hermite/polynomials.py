"""Hermite polynomials by their recurrences, normalised so that each has a mean square of 1.

Axes legend: any axes in front, n degrees 0..N last. Sources of the recurrences: Abramowitz and Stegun (1964), 22.7.

>>> import torch
>>> evaluate_probabilist(torch.tensor(2.0), 3).tolist()  # 1, x, x^2 - 1, x^3 - 3x
[1.0, 2.0, 3.0, 2.0]
>>> evaluate_physicist(torch.tensor(2.0), 3).tolist()  # 1, 2x, 4x^2 - 2, 8x^3 - 12x
[1.0, 4.0, 14.0, 40.0]
"""

from __future__ import annotations

import torch


def evaluate_probabilist(x: torch.Tensor, degree: int, *, normalised: bool = False) -> torch.Tensor:
    """Return He_0(x) ... He_N(x), `[...] -> [..., N+1]`: `He_{n+1} = x He_n - n He_{n-1}`.

    Args:
        x: Where.
        degree: Highest degree, N.
        normalised: Divide He_n by sqrt(n!), its root mean square under the standard normal. The recurrence is that of
            the normalised polynomials, `sqrt(n+1) h_{n+1} = x h_n - sqrt(n) h_{n-1}`, so that nothing grows between.
    """
    values = [torch.ones_like(x), x]
    for n in range(1, degree):
        if normalised:
            values.append((x * values[n] - n**0.5 * values[n - 1]) / (n + 1) ** 0.5)
        else:
            values.append(x * values[n] - n * values[n - 1])
    return torch.stack(values[: degree + 1], dim=-1)


def evaluate_physicist(x: torch.Tensor, degree: int, *, normalised: bool = False) -> torch.Tensor:
    """Return H_0(x) ... H_N(x), `[...] -> [..., N+1]`: `H_{n+1} = 2 x H_n - 2 n H_{n-1}`.

    Args:
        x: Where.
        degree: Highest degree, N.
        normalised: Divide H_n by sqrt(2^n n!), its root mean square under a normal of variance 1/2, by the recurrence
            `sqrt(2 (n+1)) h_{n+1} = 2 x h_n - sqrt(2 n) h_{n-1}`.
    """
    values = [torch.ones_like(x), 2**0.5 * x if normalised else 2 * x]
    for n in range(1, degree):
        if normalised:
            values.append((2 * x * values[n] - (2 * n) ** 0.5 * values[n - 1]) / (2 * (n + 1)) ** 0.5)
        else:
            values.append(2 * x * values[n] - 2 * n * values[n - 1])
    return torch.stack(values[: degree + 1], dim=-1)
