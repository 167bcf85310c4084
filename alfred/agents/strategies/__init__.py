"""Strategies that do not learn: baselines on prices, rules on signals, allocation, online selection."""
