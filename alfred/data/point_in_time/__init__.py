"""Reports, headlines and macroeconomic series, joined by the day on which they were known."""
