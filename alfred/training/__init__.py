"""The only place that sees everything: it cuts, fits, trains and writes."""
