"""Toto 2."""
