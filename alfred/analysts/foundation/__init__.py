"""Forecasting models that others trained and released, used as they are: Fracast, Chronos-2 and Chronos-Bolt."""
