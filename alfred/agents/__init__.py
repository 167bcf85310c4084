"""Observation in, weights out."""
