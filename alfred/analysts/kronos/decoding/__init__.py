"""Sampling tokens from Kronos, fast: cached attention, compiled products of matrices."""
