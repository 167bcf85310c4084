"""What every learner in torch shares: one training loop, checkpoints, tensors on disk, losses."""
