"""Toto by Datadog, versions 1.0 and 2.0: networks, released weights, forecasts, fine-tuning and the analyst."""
