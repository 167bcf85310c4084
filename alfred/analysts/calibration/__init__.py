"""Calibration of forecasts: quantiles that hold as many outcomes as they say, learnt from what was forecast before."""
