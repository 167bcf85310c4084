"""Standard errors, tests, resampling and the rule of every verdict."""
