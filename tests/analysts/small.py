"""Settings that make each analyst train in about a second; an analyst that is quick by itself needs none."""

SMALL: dict[str, dict[str, object]] = {
    "lstm": {"hidden_size": 8, "fitting": {"steps": 20, "batch_size": 64, "validate_every": 10}},
}
