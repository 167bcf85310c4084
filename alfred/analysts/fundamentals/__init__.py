"""The fundamentals analyst: a sequence of quarterly reports, and where the price stood when each became known."""
