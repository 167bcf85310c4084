"""A search for trading models in two stages: first what forecasts well, then what trades well."""
