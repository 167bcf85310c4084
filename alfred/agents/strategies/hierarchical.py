"""Hierarchical risk parity of skfolio, without building a portfolio object for each variance that it asks for.

A fit asks for the variance of three portfolios an asset. skfolio makes each a `Portfolio` with all its checks, which
takes half of the time of a fit. It also looks for the best number of clusters, which the weights do not depend on: they
follow from the order of the leaves alone.
"""

from __future__ import annotations

from typing import Any

from skfolio import RiskMeasure
from skfolio.cluster import HierarchicalClustering
from skfolio.optimization import HierarchicalRiskParity
from skfolio.seriation import HierarchicalSeriation

from alfred.typing import Float


class FastHierarchicalRiskParity(HierarchicalRiskParity):  # type: ignore[misc]
    """The same weights to the last bit, for the variance, without fees; a test holds it to skfolio's own."""

    def _risk(self, weights: Float, return_distribution: Any) -> float:
        if self.risk_measure != RiskMeasure.VARIANCE:
            return float(super()._risk(weights, return_distribution))
        return weights @ return_distribution.covariance @ weights.T  # type: ignore[no-any-return]


def make_seriation() -> HierarchicalSeriation:
    """Return the default order of the assets, without a search for the number of clusters."""
    return HierarchicalSeriation(hierarchical_clustering_estimator=HierarchicalClustering(max_clusters=1))
