"""What a run shows in TensorBoard; see `docs/tensorboard.md`."""
