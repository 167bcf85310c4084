"""A heat map of any size in a few kilobytes: a picture of one pixel a cell, which the page stretches."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

from alfred.typing import FloatArray

ABOVE, BELOW = (37, 99, 235), (217, 119, 6)
"""Blue above zero and orange below, which colour-blind readers tell apart; both fade to nothing at zero."""
_MOST = 0.9  # opacity
_BEHIND_TEXT = 0.55  # of that, so that what is written on it can be read on either page


def colour_cells(values: FloatArray, limit: float) -> npt.NDArray[np.uint8]:
    """Return the colours of cells, red, green, blue and opacity, `[..., 4]`.

    Args:
        values: Signed; NaN is clear.
        limit: Size at which the colour is full.
    """
    share = np.clip(np.nan_to_num(values / limit if limit > 0.0 else values * 0.0), -1.0, 1.0)
    colours = np.where((share >= 0.0)[..., None], np.array(ABOVE), np.array(BELOW))
    # The root lets small values be seen.
    opacity = np.round(255 * _MOST * np.sqrt(np.abs(share)))[..., None]
    return np.concatenate([colours, opacity], axis=-1).astype(np.uint8)


def write_colour(value: float, limit: float) -> str:
    """Return the colour of one cell behind a number, for a style sheet."""
    red, green, blue, opacity = colour_cells(np.array(value), limit).tolist()
    return f"rgba({red},{green},{blue},{_BEHIND_TEXT * opacity / 255:.2f})"


def encode_png(pixels: npt.NDArray[np.uint8]) -> str:
    """Return pixels `[rows, columns, 4]` as the address of a PNG that holds its data."""
    n_rows, n_columns, _ = pixels.shape
    lines = np.zeros((n_rows, 1 + 4 * n_columns), dtype=np.uint8)  # every line begins with its filter: none
    lines[:, 1:] = pixels.reshape(n_rows, -1)

    def pack(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", n_columns, n_rows, 8, 6, 0, 0, 0)
    body = (
        b"\x89PNG\r\n\x1a\n"
        + pack(b"IHDR", header)
        + pack(b"IDAT", zlib.compress(lines.tobytes()))
        + pack(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(body).decode()
