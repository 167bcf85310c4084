"""Strategies of other tools, judged as our own are: their returns or their wealth, read from a file."""
