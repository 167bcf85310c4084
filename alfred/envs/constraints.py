"""Constraints: what a target may ask for. Each is a map onto the allowed weights that leaves allowed weights alone.

So every corner that the constraints allow stays within an agent's reach. What a cap takes away is held in cash. The
order is caps, sector caps, turnover limit: the last wins, so that a book that drifted over a cap moves back as fast as
the limit lets it.
"""

from __future__ import annotations

import numpy as np

from alfred.envs.settings import ConstraintSettings
from alfred.errors import ConfigError, suggest
from alfred.typing import Float


class Constraints:
    """The limits laid out for the assets of a tape.

    Args:
        settings: The limits.
        sectors: Sector of each symbol, empty where there is none, `[N]`.

    Raises:
        ConfigError: A named sector is unknown, or a sector cap is not positive.
    """

    def __init__(self, settings: ConstraintSettings, sectors: tuple[str, ...]) -> None:
        """Lay the limits out."""
        self.settings = settings
        caps = _read_sector_caps(settings.max_sector_weight, sectors)
        self.sector_caps = np.array(list(caps.values()))
        names = list(caps)
        # Membership `[N, S]` turns sums by sector into one matrix product.
        self.membership = np.array([[float(sector == name) for name in names] for sector in sectors]).reshape(
            len(sectors), len(names)
        )
        self._unlimited = 1.0 - self.membership.sum(axis=1)

    def apply(self, target: Float, drifted: Float, free: Float | None = None) -> Float:
        """Return the nearest thing to a target that the limits allow.

        Args:
            target: Target weights in which frozen assets already have the weight they keep, `[P, N+1]`.
            drifted: Weights before the trade, `[P, N+1]`.
            free: One where a holding can be traded, else zero, `[P, N+1]`; None when all can.

        Returns:
            Weights that sum to one, `[P, N+1]`.
        """
        settings = self.settings
        movable = None if free is None else free[:, :-1]
        if settings.max_weight is not None:
            target = _put_rest_in_cash(cap_weights(target[:, :-1], settings.max_weight, movable))
        if len(self.sector_caps):
            target = _put_rest_in_cash(self.cap_sectors(target[:, :-1], movable))
        if settings.max_turnover is not None:
            target = limit_turnover(target, drifted, settings.max_turnover)
        return target

    def cap_sectors(self, assets: Float, movable: Float | None = None) -> Float:
        """Scale the movable assets of each sector down until its absolute weights fit its cap, `[P, N]`."""
        size = np.abs(assets)
        moving = (size if movable is None else size * movable) @ self.membership
        fixed = 0.0 if movable is None else (size * (1.0 - movable)) @ self.membership
        room = np.maximum(self.sector_caps - fixed, 0.0)
        scale = np.divide(room, moving, out=np.ones_like(moving), where=moving > room)
        factor = scale @ self.membership.T + self._unlimited
        return assets * factor if movable is None else assets * np.where(movable > 0, factor, 1.0)


def cap_weights(assets: Float, limit: float, movable: Float | None = None) -> Float:
    """Clip asset weights to +-`limit`, those that can be moved, `[P, N]`."""
    capped = np.minimum(np.maximum(assets, -limit), limit)
    return capped if movable is None else np.where(movable > 0, capped, assets)


def limit_turnover(target: Float, drifted: Float, limit: float) -> Float:
    """Go from the drifted weights towards the target as far as the turnover limit allows, `[P, N+1]`."""
    turnover = 0.5 * np.abs(target - drifted).sum(axis=1)
    share = np.minimum(1.0, limit / np.maximum(turnover, limit))[:, None]
    # At a share of one the target itself is taken, so that no rounding is left where the limit does not bind.
    return np.where(share < 1.0, drifted + share * (target - drifted), target)


def keep_frozen(target: Float, drifted: Float, free: Float, max_leverage: float | None = None) -> Float:
    """Return a target in which frozen assets keep their weight.

    Args:
        target: Target weights, `[P, N+1]`.
        drifted: Weights before the trade, `[P, N+1]`.
        free: One where a holding can be traded, zero where it is frozen, one for cash, `[P, N+1]`.
        max_leverage: None for a long-only book, in which the free targets share what is left in proportion. Otherwise
            the largest sum of absolute asset weights: the free ones are scaled down to fit beside the frozen ones.

    Returns:
        Weights that sum to one, `[P, N+1]`.
    """
    held = drifted * (1.0 - free)
    wanted = target * free
    if max_leverage is None:
        total = wanted.sum(axis=1)
        nothing = total <= 0.0
        wanted[:, -1] += nothing
        return np.asarray(held + wanted * ((1.0 - held.sum(axis=1)) / (total + nothing))[:, None])
    room = np.maximum(max_leverage - np.abs(held).sum(axis=1), 0.0)
    size = np.abs(wanted[:, :-1]).sum(axis=1)
    factor = np.divide(room, size, out=np.ones_like(size), where=size > room)
    return _put_rest_in_cash(held[:, :-1] + wanted[:, :-1] * factor[:, None])


def _put_rest_in_cash(assets: Float) -> Float:
    weights = np.empty((len(assets), assets.shape[1] + 1))
    weights[:, :-1] = assets
    weights[:, -1] = 1.0 - assets.sum(axis=1)
    return weights


def _read_sector_caps(limit: float | dict[str, float] | None, sectors: tuple[str, ...]) -> dict[str, float]:
    known = sorted({sector for sector in sectors if sector})
    if limit is None:
        return {}
    caps = dict(limit) if isinstance(limit, dict) else dict.fromkeys(known, limit)
    for name, cap in caps.items():
        if name not in known:
            raise ConfigError(
                f"max_sector_weight names the sector '{name}', but this market has {', '.join(known) or 'none'}."
                f"{suggest(name, known)}"
            )
        if cap <= 0:
            raise ConfigError(f"max_sector_weight of '{name}' is {cap}: it must be above 0; name no cap to lift it")
    if not caps:
        raise ConfigError("max_sector_weight is set, but no symbol of this market has a sector; give a symbols table")
    return caps
