"""The ledger and the simulator in torch, with gradients from actions to rewards."""
