"""Losses that ask for the sign of a return, alone or beside its size; one value per target.

Axes legend: any axes, the same for all tensors. Predictions and targets are in scaled units: the deltas, margins and
scales are too. A target of exactly zero has no sign: the losses of the sign alone say below what they make of it.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from alfred.errors import ConfigError
from alfred.learning.losses import compute_huber_loss, compute_squared_loss

FOCAL_GAMMA = 2.0
SIGN_WEIGHT = 0.5
RATIO_BOUNDS = (0.5, 1.5)
SHARPNESS = 4.0
LEAST_PROBABILITY = 0.01
"""Probabilities of a direction are kept this far from 0 and 1 before they become a mean."""


def compute_direction_label(target: torch.Tensor) -> torch.Tensor:
    """Return 1 for a rise, 0 for a fall and 1/2 where nothing moved."""
    return 0.5 * (torch.sign(target) + 1)


def compute_cross_entropy_loss(logit: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return the binary cross entropy `-label log p - (1 - label) log(1 - p)` with p = sigmoid(logit).

    Args:
        logit: Log odds of a rise.
        label: Between 0 and 1, see `compute_direction_label`.
    """
    return functional.binary_cross_entropy_with_logits(logit, label, reduction="none")


def compute_focal_loss(
    logit: torch.Tensor, label: torch.Tensor, gamma: float = FOCAL_GAMMA, alpha: float | None = None
) -> torch.Tensor:
    """Return the focal loss `-alpha_t (1 - p_t)^gamma log p_t` (Lin et al., 2017), from log odds.

    p_t is the probability of what happened. A label between 0 and 1 mixes the losses of both outcomes. At gamma 0
    and without alpha it is the cross entropy.

    Args:
        logit: Log odds of a rise.
        label: Between 0 and 1, see `compute_direction_label`.
        gamma: How much less a target counts that is already foretold well, at least 0.
        alpha: Weight of rises, with 1 - alpha for falls; both count 1 when left out.
    """
    # (1 - p)^gamma through the logarithm, since 1 - sigmoid rounds to zero long before its logarithm does.
    log_up, log_down = functional.logsigmoid(logit), functional.logsigmoid(-logit)
    up = -torch.exp(gamma * log_down) * log_up
    down = -torch.exp(gamma * log_up) * log_down
    weight_up, weight_down = (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)
    return label * weight_up * up + (1 - label) * weight_down * down


def undo_focal_loss(probability: torch.Tensor, gamma: float = FOCAL_GAMMA) -> torch.Tensor:
    """Return the probability of a rise of a network that was trained by the focal loss, from what it says, p.

    The focal loss is not least at the true probability, but too close to 1/2. Where it is least the true one is
    `f(1 - p) / (f(p) + f(1 - p))`, f being the derivative of `-(1 - p)^gamma log p` (Charoenphakdee et al., 2021).

    Args:
        probability: What the network says, above 0 and below 1.
        gamma: Exponent of the loss; at 0 nothing changes.
    """

    def slope(p: torch.Tensor) -> torch.Tensor:
        return gamma * (1 - p) ** (gamma - 1) * p.log() - (1 - p) ** gamma / p

    up, down = slope(probability), slope(1 - probability)
    return down / (up + down)


def read_probability(odds: torch.Tensor, focal_gamma: float = 0.0) -> torch.Tensor:
    """Return the probability of log odds in double precision, the focal loss undone, at least 1 % from 0 and 1."""
    low, high = LEAST_PROBABILITY, 1 - LEAST_PROBABILITY
    said = torch.sigmoid(odds.double()).clamp(low, high)
    return undo_focal_loss(said, focal_gamma).clamp(low, high)


def compute_sign_penalty(prediction: torch.Tensor, target: torch.Tensor, sharpness: float = SHARPNESS) -> torch.Tensor:
    """Return `log(1 + exp(-sharpness x prediction x target)) / sharpness`.

    That is little for the right sign, and about what a bet on the wrong one loses. The kinked `max(0, -prediction x
    target)`, its limit, is no choice for returns: where signs are nearly even its mean is `|prediction| E|target| / 2`,
    a lasso that holds every weak forecast at zero.

    Args:
        prediction: What was predicted.
        target: What happened.
        sharpness: How close to the kink, above 0; the inverse of a product of usual predictions and targets or less.
    """
    return functional.softplus(-sharpness * prediction * target) / sharpness


def compute_signed_squared_loss(
    prediction: torch.Tensor, target: torch.Tensor, weight: float = SIGN_WEIGHT
) -> torch.Tensor:
    """Return the squared error plus `weight` times the sign penalty, see `compute_sign_penalty`."""
    return compute_squared_loss(prediction, target) + weight * compute_sign_penalty(prediction, target)


def compute_signed_huber_loss(
    prediction: torch.Tensor, target: torch.Tensor, delta: float, weight: float = SIGN_WEIGHT
) -> torch.Tensor:
    """Return the loss of Huber (1964) plus `weight` times the sign penalty, see `compute_sign_penalty`."""
    return compute_huber_loss(prediction, target, delta) + weight * compute_sign_penalty(prediction, target)


def compute_sign_hinge_loss(prediction: torch.Tensor, target: torch.Tensor, margin: float = 1.0) -> torch.Tensor:
    """Return `max(0, margin - prediction x sign(target))` (Cortes and Vapnik, 1995), 0 where the target is 0."""
    sign = torch.sign(target)
    return sign.abs() * functional.relu(margin - prediction * sign)


def compute_sign_ratio_loss(
    prediction: torch.Tensor,
    target: torch.Tensor,
    bounds: tuple[float, float] = RATIO_BOUNDS,
    sharpness: float = SHARPNESS,
    scale: float = 1.0,
) -> torch.Tensor:
    """Return the squared error times a factor that is above 1 for a wrong sign and below 1 for a right one.

    `factor = low + (high - low) sigmoid(-sharpness x prediction x target / scale^2 + c)`, with
    `c = log((1 - low) / (high - 1))`, which makes it 1 where the prediction or the target is zero. It lies between
    `low` and `high` and is smooth. Its minimum leans to larger predictions than the mean of the target.

    Args:
        prediction: What was predicted.
        target: What happened.
        bounds: Lowest and highest factor, low < 1 < high, low at least 0.
        sharpness: How fast the factor leaves 1, above 0.
        scale: Size of usual targets.

    Raises:
        ConfigError: The bounds do not lie on both sides of 1.
    """
    low, high = bounds
    if not 0 <= low < 1 < high:
        raise ConfigError(
            f"bounds of the sign ratio are {bounds}; they must be 0 <= low < 1 < high, such as (0.5, 1.5)"
        )
    centre = math.log((1 - low) / (high - 1))
    wrong = torch.sigmoid(centre - sharpness * prediction * target / scale**2)
    return compute_squared_loss(prediction, target) * (low + (high - low) * wrong)
