"""Recurrences against numpy, and normalisation against the integral that defines it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import hermite, hermite_e

from alfred.analysts.hermite.polynomials import evaluate_physicist, evaluate_probabilist

X = np.linspace(-4, 4, 41)
DEGREE = 8


@pytest.mark.parametrize(
    ("evaluate", "reference"),
    [(evaluate_probabilist, hermite_e.hermeval), (evaluate_physicist, hermite.hermval)],
)
def test_values_are_numpys(evaluate, reference) -> None:
    found = evaluate(torch.from_numpy(X), DEGREE).numpy()
    np.testing.assert_allclose(found, reference(X, np.eye(DEGREE + 1)).T, rtol=1e-12, atol=1e-9)


def test_normalised_values_are_those_over_the_norm() -> None:
    factorials = np.array([math.factorial(n) for n in range(DEGREE + 1)], dtype=float)
    x = torch.from_numpy(X)
    for evaluate, norms in (
        (evaluate_probabilist, np.sqrt(factorials)),
        (evaluate_physicist, np.sqrt(2.0 ** np.arange(DEGREE + 1) * factorials)),
    ):
        expected = evaluate(x, DEGREE).numpy() / norms
        np.testing.assert_allclose(evaluate(x, DEGREE, normalised=True).numpy(), expected, rtol=1e-10, atol=1e-10)


def test_normalised_polynomials_are_orthonormal() -> None:
    nodes, weights = hermite_e.hermegauss(20)
    values = evaluate_probabilist(torch.from_numpy(nodes), DEGREE, normalised=True).numpy()
    gram = (values * weights[:, None]).T @ values / weights.sum()
    np.testing.assert_allclose(gram, np.eye(DEGREE + 1), atol=1e-10)
    nodes, weights = hermite.hermgauss(20)
    values = evaluate_physicist(torch.from_numpy(nodes), DEGREE, normalised=True).numpy()
    gram = (values * weights[:, None]).T @ values / weights.sum()
    np.testing.assert_allclose(gram, np.eye(DEGREE + 1), atol=1e-10)


@pytest.mark.parametrize("evaluate", [evaluate_probabilist, evaluate_physicist])
def test_gradients_and_low_degrees(evaluate) -> None:
    x = torch.linspace(-2, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: evaluate(x, DEGREE, normalised=True), (x,))
    for degree in (0, 1):
        torch.testing.assert_close(evaluate(x, degree), evaluate(x, DEGREE)[..., : degree + 1])
