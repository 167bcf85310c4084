"""Settings that make each analyst train in about a second; an analyst that is quick by itself needs none."""

_BRIEF = {"steps": 20, "batch_size": 16, "validate_every": 10}
_KRONOS = {"context_length": 24, "horizons": (1, 5), "samples": 2, "tokenizer_fitting": _BRIEF, "model_fitting": _BRIEF}

SMALL: dict[str, dict[str, object]] = {
    "extractor": {"context_length": 17, "fitting": _BRIEF},
    "hermite": {"context_length": 17, "fitting": _BRIEF},
    "kronos": _KRONOS,
    "kronos_ensemble": {**_KRONOS, "temperatures": (0.1, 0.25)},
    "lstm": {"hidden_size": 8, "fitting": {"steps": 20, "batch_size": 64, "validate_every": 10}},
    "toto": {"fitting": {"steps": 20, "batch_size": 32, "validate_every": 10}},
}
