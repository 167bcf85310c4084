"""Kronos: a foundation model of candles, written from its published facts."""
