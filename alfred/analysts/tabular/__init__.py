"""Analysts that read a table: features of each window, a linear model or boosted trees behind them."""
