"""How good are forecasts: of the size of a return, its direction and its distribution."""
