"""A local page over a folder of runs: read only, on this machine only."""
