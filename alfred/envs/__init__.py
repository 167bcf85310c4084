"""The market as a decision problem."""
