"""Memory that stays with the process: a page that is touched for the first time costs more than what is put there.

The C library hands what is freed back to the system, and large arrays at once; the next frame then waits for every
page of theirs again, 1 to 4 us each: a quarter of the time from a scout to its prescriptions.
"""

import ctypes
from contextlib import suppress
from typing import Final

import numpy as np

__all__ = ["hold", "keep_memory"]

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, ARENA_MAX = -1, -2, -3, -8
PIECE: Final = 1 << 24  # bytes
LARGEST: Final = 1 << 25  # bytes of an array that the C library lets us keep


def keep_memory(most: int = 1 << 30) -> None:
    """Let the process keep up to `most` bytes of what it frees, for all its threads; call it before they begin.

    Nothing happens where the C library is not GNU's.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for parameter, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, LARGEST), (TOP_PAD, PIECE), (TRIM_THRESHOLD, most)):
            mallopt(parameter, value)


def hold(size: int) -> None:
    """Have so many bytes at hand: touch them once, and free them."""
    pieces = [np.empty(PIECE, np.uint8) for _ in range(-(-size // PIECE))]
    for piece in pieces:
        piece.fill(0)
