"""A run after it was judged: new bars, tomorrow's weights, and an account on paper."""
