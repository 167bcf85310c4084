"""`alfred compare` and `alfred runs`: what lies in a folder of runs."""
