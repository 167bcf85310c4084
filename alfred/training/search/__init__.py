"""Searches with Optuna: on real storage, in several processes, resumed after a kill, honest about their looks."""
