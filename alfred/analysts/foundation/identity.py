"""Which weights a forecast was made with: the package, its version, and the digest of the file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from alfred.data.files import read_json, require_file, write_atomically
from alfred.errors import CheckpointError

_FILE = "weights.json"


@dataclass(frozen=True)
class Identity:
    """The code and the weights that a forecast depends on.

    Attributes:
        package: Package that holds the code of the network.
        version: Its version.
        sha256: Digest of the file of weights.
    """

    package: str
    version: str
    sha256: str

    def write(self, folder: Path) -> None:
        """Write it into a folder; the weights themselves stay where they are."""
        text = json.dumps(asdict(self), indent=2)
        write_atomically(folder / _FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def require(self, folder: Path) -> None:
        """Go on when a folder was written with this identity.

        Raises:
            CheckpointError: It was written with another one, or does not say which.
        """
        path = folder / _FILE
        try:
            saved = Identity(**read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path} does not say which weights it belongs to ({error}); fit again") from error
        for name, value in asdict(self).items():
            if (was := getattr(saved, name)) != value:
                raise CheckpointError(
                    f"{folder} was saved with {name} '{was}', but what is here has '{value}': forecasts would be "
                    f"others. Bring back {saved.package} {saved.version} with those weights, or fit again"
                )


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        with require_file(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); install or download it again") from error
