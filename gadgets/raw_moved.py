"""moved: whether the patient lies where the calibration lines saw him."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.quality.motion import displacement, unexplained
from gadgets.context import Context
from gadgets.raw_verdict import place, verdict
from protocols.events import Flag, Severity
from protocols.messages import Frame, Message, NoiseScan, Record, Reference
from protocols.stream import Node

__all__ = ["moved"]

LEAST_LINES = 2
ADVICE = "take the calibration lines again and repeat what came after them: the patient has moved"


def moved(context: Context) -> Node:
    """Compare the lines of every frame with the calibration lines of the same encode steps.

    The score is the part of a frame's amplitude there that its calibration lines do not explain, in percent, noise
    taken off: 6 % for 1 mm, 17 % for 3 mm in a head. Every image beyond the limit says so; the first is told at once,
    the worst at the end. The sequence must give calibration lines and frames the same contrast, else the limit must
    allow for it. Of calibration lines that are a part of the only frame nothing is said: `symmetry` judges it.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        watch = _Watch(context)
        for message in messages:
            found = watch.compare(message) if isinstance(message, Frame) else None
            yield message
            if isinstance(message, Reference):
                watch.learn(message)
            elif found is not None:
                yield from watch.judge(found)
            elif isinstance(message, NoiseScan):
                watch.whitened = message.whitened
        yield from watch.close()

    return node


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """A frame beside its calibration lines."""

    frame: Frame
    rows: NDArray[np.intp]  # (line,) that both have
    lines: NDArray[np.complex64]  # (coil, line, x) in the frame
    before: NDArray[np.complex64]  # the same of the calibration
    score: float  # %
    broken: bool


class _Watch:
    """The first calibration lines of every slice, and the frame that fits them worst."""

    def __init__(self, context: Context) -> None:
        self.whitened = False
        self._context = context
        self._references: dict[tuple[int, ...], Reference] = {}
        self._worst: tuple[float, Record, str, dict[str, object]] | None = None
        self._told = False

    def learn(self, reference: Reference) -> None:
        """Keep the first calibration lines of a slice and contrast."""
        self._references.setdefault(_kind(reference.header), reference)

    def compare(self, frame: Frame) -> "_Compared | None":
        """Score a frame before it becomes an image, so that the image can say it; None with nothing to compare."""
        reference = self._references.get(_kind(frame.header))
        if reference is None or (not reference.separate and _repetition(reference.header) == _repetition(frame.header)):
            return None
        pair = _shared(frame, reference)
        if pair is None:
            return None
        score = 100 * unexplained(*pair[1:], 1 / frame.averages if self.whitened else 0.0)
        limit = self._context.protocol.limits.get("calibration_mismatch")
        broken = limit is not None and limit.judge(score).broken
        if broken:
            self._flag(score, frame.header, "", {})
        return _Compared(frame, *pair, score, broken)

    def judge(self, found: "_Compared") -> Iterator[Flag]:
        """Keep the worst frame, with how far the patient has gone; say the first one that has moved."""
        if self._worst is not None and found.score <= self._worst[0]:
            return
        text, evidence = self._shift(found) if found.broken else ("", {})
        self._worst = found.score, found.frame.header, text, evidence
        if found.broken and not self._told:
            self._told = True
            yield self._flag(*self._worst)

    def close(self) -> Iterator[Flag]:
        """Say the worst frame."""
        if self._worst is not None:
            yield self._flag(*self._worst)
        elif self._references and (self._context.scan.encodings[0].repeats or self._separate()):
            text = "no frame came that has lines of its own to be compared with the calibration lines"
            yield self._context.flag("calibration_mismatch", Severity.UNKNOWN, text)

    def _separate(self) -> bool:
        return any(reference.separate for reference in self._references.values())

    def _shift(self, compared: "_Compared") -> tuple[str, dict[str, object]]:
        """Displacement in mm, in words and as evidence."""
        encoding = self._context.scan.encodings[0]
        count = compared.frame.acquired.shape[1]
        found = displacement(compared.lines, compared.before, compared.rows - count // 2, count)
        along_phase = found.along_phase * encoding.encoded_fov_mm[1] / count
        along_read = found.along_read * encoding.encoded_fov_mm[0] / encoding.encoded_matrix[0]
        text = f", as by a shift of {along_phase:+.1f} mm along phase and {along_read:+.1f} mm along the readout"
        return text, {"phase_mm": round(along_phase, 1), "read_mm": round(along_read, 1)}

    def _flag(self, score: float, header: Record, shift: str, evidence: dict[str, object]) -> Flag:
        where = place(header)
        text = (
            f"{score:.1f} % of repetition {where['repetition']} of slice {where['slice']} do not fit its calibration "
            f"lines{shift}"
        )
        more = {**where, **evidence}
        return verdict(self._context, "calibration_mismatch", score, text, "%", evidence=more, advice=ADVICE)


def _kind(header: Record) -> tuple[int, ...]:
    """What must be equal for two frames to look alike."""
    return tuple(int(header["idx"][name]) for name in ("slice", "contrast", "phase", "set"))


def _repetition(header: Record) -> int:
    return int(header["idx"]["repetition"])


def _shared(
    frame: Frame, reference: Reference
) -> tuple[NDArray[np.intp], NDArray[np.complex64], NDArray[np.complex64]] | None:
    """Rows (line,) that both have, and their samples (coil, line, x) in the frame and before; None with too few."""
    count = reference.hybrid.shape[2]
    inside = np.flatnonzero(frame.acquired[0, reference.first_line : reference.first_line + count])
    if len(inside) < LEAST_LINES or reference.hybrid.shape[::3] != frame.hybrid.shape[::3]:
        return None
    rows = inside + reference.first_line
    return rows, frame.hybrid[:, 0, rows], reference.hybrid[:, 0, inside]
