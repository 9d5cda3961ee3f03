"""compress_lines: fewer virtual coils from the moment a readout arrives, where calibration comes first."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.linear.compression import compression
from gadgets.context import Context
from protocols.messages import Lines, Message
from protocols.mrd import ENDING, AcqFlag, flag_mask
from protocols.stream import Node

__all__ = ["compress_lines"]

Coils = Annotated[int, Field(ge=0)]
CALIBRATION_ONLY = flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION)
COMPLETE = flag_mask(*ENDING)


def compress_lines(context: Context, coils: Coils = 0) -> Node:
    """Turn whitened coils into at most `coils` virtual coils, line by line; 0 keeps all coils.

    For scans with separate calibration, where it saves more than `compress`: nothing after it sees the other coils.
    The calibration lines of a slice are held back until one of them carries a LAST flag, or a line for an image comes,
    and teach the matrix; slices without them, and scans whose calibration lines are embedded, pass as they are.
    Rows of the matrix are orthonormal: whitened noise stays white (Buehrer et al., Magn Reson Med 2007; 57:1131).
    """
    separate = context.scan.encodings[0].calibration_mode in ("separate", "external")

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        slices = _Slices(coils)
        for message in messages:
            if separate and isinstance(message, Lines) and 0 < coils < message.samples.shape[1]:
                yield from slices.take(message)
            else:
                yield message
        yield from slices.close()

    return node


class _Slices:
    """Calibration lines that wait, and the matrices learned from them, by slice."""

    def __init__(self, coils: int) -> None:
        self._coils = coils
        self._waiting: dict[int, list[Lines]] = {}
        self._matrices: dict[int, NDArray[np.complex64]] = {}

    def take(self, lines: Lines) -> Iterator[Lines]:
        """Hold calibration lines back, pass others on compressed."""
        calibrating = (lines.headers["flags"] & CALIBRATION_ONLY) != 0
        kinds = lines.headers["idx"]["slice"].astype(np.int64) * 2 + calibrating
        if len(kinds) == 1 or (kinds == kinds[0]).all():
            yield from self._alike(lines)
            return
        for part in np.split(np.arange(len(kinds)), np.flatnonzero(np.diff(kinds)) + 1):
            span = slice(int(part[0]), int(part[-1]) + 1)
            yield from self._alike(replace(lines, headers=lines.headers[span], samples=lines.samples[span]))

    def close(self) -> Iterator[Lines]:
        """Let go of calibration lines that no other line followed."""
        for slice_ in list(self._waiting):
            yield from self._learn(slice_)

    def _alike(self, lines: Lines) -> Iterator[Lines]:
        """Take lines of one slice and kind."""
        slice_ = int(lines.headers["idx"]["slice"][0])
        if int(lines.headers["flags"][0]) & CALIBRATION_ONLY and slice_ not in self._matrices:
            held = replace(lines, headers=lines.headers.copy(), samples=lines.samples.copy())
            self._waiting.setdefault(slice_, []).append(held)
            if held.headers["flags"][-1] & COMPLETE:
                yield from self._learn(slice_)
            return
        yield from self._learn(slice_)
        matrix = self._matrices.get(slice_)
        yield lines if matrix is None else replace(lines, samples=matrix @ lines.samples)

    def _learn(self, slice_: int) -> Iterator[Lines]:
        """Make the matrix of a slice from the lines that wait for it, and send them on."""
        held = self._waiting.pop(slice_, None)
        if held is None:
            return
        samples = np.concatenate([lines.samples for lines in held])
        matrix = self._matrices[slice_] = compression(samples.swapaxes(0, 1), self._coils)
        for lines in held:
            yield replace(lines, samples=matrix @ lines.samples)
