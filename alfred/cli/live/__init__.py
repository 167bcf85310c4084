"""The commands of what comes after a run: new bars, tomorrow's weights, and an account on paper."""
