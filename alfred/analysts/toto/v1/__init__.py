"""Toto 1: the open-base network."""
