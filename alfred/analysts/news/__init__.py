"""The news analyst: headlines are scored, and daily values and a forecast are made of the scores."""
