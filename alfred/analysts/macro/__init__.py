"""The macro analyst: yields, volatility and oil, and the regime that the market is in."""
