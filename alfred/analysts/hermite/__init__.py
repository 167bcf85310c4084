"""Networks whose activations are learnt series of Hermite polynomials."""
