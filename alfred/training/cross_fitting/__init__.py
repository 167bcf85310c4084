"""Training agents: over folds and seeds, on blocks that are held out in turn."""
