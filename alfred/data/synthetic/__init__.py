"""Markets with a known answer: what an agent or an analyst could attain is computed beside them."""

from alfred.data.synthetic.attainable import Attainable, find_attainable
from alfred.data.synthetic.iid import make_lognormal_market, make_noise_market
from alfred.data.synthetic.model import PlantedModel
from alfred.data.synthetic.planted import make_planted_market
from alfred.data.synthetic.quadratic import QuadraticOptimum, make_quadratic_market
from alfred.data.synthetic.regimes import RegimeModel, make_regime_market
from alfred.data.synthetic.skill import compute_attainable_auc, make_autoregressive_market, show_signals
from alfred.data.synthetic.world import Optimum, SyntheticMarket

__all__ = [
    "Attainable",
    "Optimum",
    "PlantedModel",
    "QuadraticOptimum",
    "RegimeModel",
    "SyntheticMarket",
    "compute_attainable_auc",
    "find_attainable",
    "make_autoregressive_market",
    "make_lognormal_market",
    "make_noise_market",
    "make_planted_market",
    "make_quadratic_market",
    "make_regime_market",
    "show_signals",
]
