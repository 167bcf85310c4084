"""How much work a run is: counted before it begins, and timed while it is done."""
