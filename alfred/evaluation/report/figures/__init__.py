"""The figures of a report: each takes records or numbers and returns a `Figure`."""
