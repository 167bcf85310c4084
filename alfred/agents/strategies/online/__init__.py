"""Online portfolio selection: baselines of the literature that learn from one period to the next.

Each keeps the portfolio that it wants, starts at equal weights, and after every period changes it by that period's
price relatives (the price now over that at the decision before). What the book really holds plays no part in it: so the
papers have it, and so their figures come out (`docs/replications.md`). A period is `rebalance_every` sessions, one in
the papers. Uniform constant rebalancing is `kind: mix` with `rebalance_every: 1`.

Axes legend: P portfolios, U symbols of the universe, W periods of a window, G constant mixes.
"""
