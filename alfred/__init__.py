"""alfred: analysts forecast, an agent allocates, the report says honestly whether that beat holding SPY."""

__version__ = "0.1.0"
