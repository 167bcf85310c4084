"""The version, apart from everything that is slow to load."""

__version__ = "0.2.0"
