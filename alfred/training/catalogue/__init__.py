"""What lies in a folder of runs: runs listed, described, compared, removed, cleaned."""
