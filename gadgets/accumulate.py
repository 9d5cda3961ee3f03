"""accumulate: place lines into frames; a frame leaves with its own last line, not with the next frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.placement import Placement
from gadgets.context import Context
from gadgets.early import Foreteller
from gadgets.line_verdict import LineVerdict
from protocols.lattice import Lattice
from protocols.messages import EarlyFrame, Frame, Lines, Message, Record, Reference
from protocols.mrd import ACQUISITION, CALIBRATION, ENDING, FRAME_COUNTERS, SERVICE, AcqFlag, flag_mask
from protocols.stream import Node

__all__ = ["accumulate"]

Key = tuple[int, ...]  # slice, contrast, phase, repetition, set

ENDS_FRAME = flag_mask(*ENDING)
NOT_IMAGING = flag_mask(
    AcqFlag.IS_NAVIGATION_DATA,
    *SERVICE,
    AcqFlag.IS_PHASE_STABILIZATION_REFERENCE,
    AcqFlag.IS_PHASE_STABILIZATION,
)
CALIBRATES = flag_mask(*CALIBRATION)
CALIBRATION_ONLY = flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION)
LAST_OF_ALL = flag_mask(AcqFlag.LAST_IN_MEASUREMENT)
BY_FLAG = "last flag"  # why a frame left
Count = Annotated[int, Field(ge=0)]
MOST_OPEN = 512  # frames under way at once; a stream with more has lost its counters


def accumulate(context: Context, early_lines: Count = 0) -> Node:
    """Gather lines of every slice, contrast, phase, repetition and set into frames.

    Segments of one frame come together, averages are averaged. A frame leaves with the line that carries a LAST flag;
    without flags when it is complete; failing that when the next frame of its slice begins, or the stream ends. A line
    that never came stays zero, of a line that came twice the last one stays; both are flagged on the frame. Lines that
    come, by their scan_counter, when their frame has left are flagged and not used, so that they make no frame of their
    own. Calibration lines leave as a Reference as soon as a line after them has come, before the frame does.
    `early_lines` is how many lines before its end a frame of a series is told to a network, so that it begins, with
    those of the frame before in place of the last ones; 0 tells nothing.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        desk = _Desk(context, early_lines)
        for message in messages:
            if isinstance(message, Lines):
                yield from desk.take(message)
            else:
                yield message
        yield from desk.close()

    return node


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Lines and where they belong; valid as long as Lines are."""

    headers: NDArray[np.void]
    flags: NDArray[np.uint64]
    slabs: NDArray[np.intp]
    rows: NDArray[np.intp]
    samples: NDArray[np.complex64]
    arrived_ns: int

    def part(self, which: slice | NDArray[np.intp]) -> "_Batch":
        """Some of the lines."""
        return _Batch(
            self.headers[which],
            self.flags[which],
            self.slabs[which],
            self.rows[which],
            self.samples[which],
            self.arrived_ns,
        )


@dataclass(slots=True)
class _Open:
    """One frame under way."""

    placed: Placement
    last: bytes  # header of its last line: its copy as a record takes as long as all else
    arrived_ns: int
    began: int  # scan_counter of its first line
    offset: tuple[int, int] | None = None  # (e2, e1) row of the first line that is not for calibration only
    referenced: bool = False
    told: EarlyFrame | None = None

    @property
    def header(self) -> Record:
        """Header of its last line."""
        return np.frombuffer(self.last, ACQUISITION)[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """The frame of a slice that has left last."""

    key: Key
    began: int  # scan_counter of its first line, and of its last
    ended: int
    acquired: NDArray[np.bool_]  # (e2, e1)

    def holds(self, key: Key, header: Record) -> bool:
        """Whether a line was acquired in it; one with its first number begins another part of the scan."""
        return key == self.key and self.began < int(header["scan_counter"]) <= self.ended


class _Desk:
    """The frames under way, and what is known of their lattice."""

    def __init__(self, context: Context, early_lines: int) -> None:
        encoding = context.scan.encodings[0]
        average = encoding.limits.get("average")
        self._lattice = Lattice.of(encoding)
        self._separate = encoding.calibration_mode in ("separate", "external")
        self._averages = 1 if average is None else average.maximum - average.minimum + 1
        useful = encoding.repeats and self._averages == 1 and "network" in dict(context.protocol.chain.nodes)
        self._foreteller = Foreteller(early_lines if useful else 0)
        self._frames: dict[Key, _Open] = {}
        self._references: dict[int, _Open] = {}
        self._left: dict[int, _Left] = {}  # by slice
        self._grids: dict[tuple[int, int], NDArray[np.bool_]] = {}
        self._flagged_ends = False
        self._verdict = LineVerdict(context, self._lattice)

    def take(self, lines: Lines) -> Iterator[Message]:
        """Place a batch; yield what it completes, and what is wrong with it."""
        headers = lines.headers
        flags, idx = headers["flags"], headers["idx"]
        used = (flags & NOT_IMAGING) == 0
        slabs, rows, inside = self._lattice.places(idx["kspace_encode_step_1"], idx["kspace_encode_step_2"])
        inside &= headers["encoding_space_ref"] == 0
        good = used & inside
        batch = _Batch(headers, flags, slabs, rows, lines.samples, lines.arrived_ns)
        whole = bool(good.all())
        if not whole:
            self._verdict.unused(int((~used).sum()))
            yield from self._verdict.stray(headers[used & ~inside])
        for start, stop in _runs(headers, separate=self._separate):
            if whole:
                yield from self._place(batch if stop - start == len(flags) else batch.part(slice(start, stop)))
            elif good[start:stop].any():
                yield from self._place(batch.part(np.flatnonzero(good[start:stop]) + start))
            if flags[stop - 1] & ENDS_FRAME:
                yield from self._ended(headers[stop - 1], lines.arrived_ns)
            elif not self._flagged_ends:
                yield from self._full(_key(headers[stop - 1]))

    def close(self) -> Iterator[Message]:
        """Let go of what never ended, and say what was not used."""
        for slice_ in list(self._references):
            yield from self._refer(slice_)
        for key in list(self._frames):
            yield from self._leave(key, "end of stream")
        yield from self._verdict.of_stream()

    def _place(self, lines: _Batch) -> Iterator[Message]:
        key = _key(lines.headers[0])
        flags = lines.flags
        if self._separate and flags[0] & CALIBRATION_ONLY:
            if key[0] not in self._references:
                self._references[key[0]] = self._blank(lines)
            self._put(self._references[key[0]], lines)
            return
        if key not in self._frames:
            left = self._left.get(key[0])
            if left is not None and left.holds(key, lines.headers[0]):
                yield from self._verdict.belated(left.acquired, lines.headers)
                return
            yield from self._earlier(key)
            self._frames[key] = self._blank(lines)
        if key[0] in self._references:
            yield from self._refer(key[0])
        frame = self._frames[key]
        if frame.offset is None and (imaging := (flags & CALIBRATION_ONLY) == 0).any():
            first = int(np.argmax(imaging))
            frame.offset = int(lines.slabs[first]), int(lines.rows[first])
        calibrating = (flags & CALIBRATES) != 0
        if frame.referenced or calibrating.all() or not (calibrating.any() or frame.placed.calibrating.any()):
            self._put(frame, lines)
        else:
            yield from self._place_around_reference(frame, lines, calibrating)
        yield from self._foretell(key, frame)

    def _foretell(self, key: Key, frame: _Open) -> Iterator[EarlyFrame]:
        """Tell a frame before its end, once."""
        if frame.told is None:
            frame.told = self._foreteller.tell(_of_series(key), frame.placed, frame.header)
            if frame.told is not None:
                yield frame.told

    def _place_around_reference(self, frame: _Open, lines: _Batch, calibrating: NDArray[np.bool_]) -> Iterator[Message]:
        """Place a batch in which calibration lines begin or end; they are complete where imaging lines go on."""
        first = int(np.argmax(calibrating)) if not frame.placed.calibrating.any() else 0
        rest = np.flatnonzero(~calibrating[first:])
        cut = first + int(rest[0]) if len(rest) else len(calibrating)
        if cut:
            self._put(frame, lines.part(slice(0, cut)))
        if cut < len(calibrating):
            yield from self._embedded(frame)
            self._put(frame, lines.part(slice(cut, None)))

    def _put(self, frame: _Open, lines: _Batch) -> None:
        frame.placed.put(lines.slabs, lines.rows, lines.samples, lines.headers["idx"]["average"])
        calibrating = (lines.flags & CALIBRATES) != 0
        if calibrating.any():
            frame.placed.calibrating[lines.slabs, lines.rows] |= calibrating
        frame.last = lines.headers[-1].tobytes()
        frame.arrived_ns = lines.arrived_ns

    def _blank(self, lines: _Batch) -> _Open:
        coils, samples = lines.samples.shape[1:]
        shape = (self._lattice.partitions, self._lattice.lines)
        began = int(lines.headers[0]["scan_counter"])
        placed = Placement(coils, shape, samples, self._averages)
        return _Open(placed, lines.headers[-1].tobytes(), lines.arrived_ns, began)

    def _grid(self, frame: _Open | None = None) -> NDArray[np.bool_]:
        """Lines of the lattice through the frame's first line; made once an offset."""
        slab, row = 0, int(self._lattice.rows(np.array(self._lattice.limit1.minimum)))
        if frame is not None and frame.offset is not None:
            slab, row = frame.offset
        if (slab, row) not in self._grids:
            self._grids[slab, row] = self._lattice.grid(row, slab)
        return self._grids[slab, row]

    def _expected(self, frame: _Open) -> NDArray[np.bool_]:
        """Lines (e2, e1) of the grid, and embedded calibration lines: a rectangle of those that came."""
        grid, calibrating = self._grid(frame), frame.placed.calibrating
        if self._separate:
            return grid
        return grid | (calibrating.any(axis=1, keepdims=True) & calibrating.any(axis=0, keepdims=True))

    def _full(self, key: Key) -> Iterator[Message]:
        """Let a frame go that is full, in a scan without LAST flags; only full sampling can be told for sure."""
        if self._lattice.acceleration == (1, 1) and key in self._frames:
            frame = self._frames[key]
            if (frame.placed.seen >= self._averages)[self._expected(frame)].all():
                yield from self._leave(key, "complete")

    def _ended(self, header: Record, arrived_ns: int) -> Iterator[Message]:
        slice_, key = int(header["idx"]["slice"]), _key(header)
        if self._separate and header["flags"] & CALIBRATION_ONLY:
            if slice_ in self._references:
                yield from self._refer(slice_)
        elif int(header["idx"]["average"]) >= self._averages - 1:
            self._flagged_ends = True
            if key in self._frames:
                self._frames[key].arrived_ns = arrived_ns
                yield from self._leave(key, BY_FLAG)
        if header["flags"] & LAST_OF_ALL:
            for open_key in list(self._frames):
                yield from self._leave(open_key, BY_FLAG)

    def _earlier(self, key: Key) -> Iterator[Message]:
        """Let frames of the same slice and contrast go that the scanner has left behind."""
        for other in [k for k in self._frames if k[:2] == key[:2] and k < key]:
            yield from self._leave(other, "next frame")
        if len(self._frames) >= MOST_OPEN:
            yield from self._leave(next(iter(self._frames)), "too many frames under way")

    def _refer(self, slice_: int) -> Iterator[Message]:
        """Send separate calibration lines on."""
        yield from _reference(self._references.pop(slice_), separate=True, expected=self._grid())

    def _embedded(self, frame: _Open) -> Iterator[Message]:
        """Send embedded calibration lines on."""
        frame.referenced = True
        yield from _reference(frame, separate=False, expected=self._expected(frame))

    def _leave(self, key: Key, reason: str) -> Iterator[Message]:
        frame = self._frames.pop(key)
        if frame.placed.calibrating.any() and not frame.referenced:
            yield from self._embedded(frame)
        flags = tuple(self._verdict.of_frame(frame.placed, self._expected(frame), frame.header, reason))
        acquired = frame.placed.seen > 0
        if reason == BY_FLAG:
            self._left[key[0]] = _Left(key, frame.began, int(frame.header["scan_counter"]), acquired)
        hybrid = frame.placed.finish()
        told = frame.told
        early = 0 if told is None or not self._foreteller.confirmed(told, frame.placed) else told.number
        yield Frame(hybrid, acquired, frame.header, frame.arrived_ns, self._averages, reason, flags, early)
        self._foreteller.keep(_of_series(key), hybrid, acquired)  # the frame does not wait for it


def _key(header: Record) -> Key:
    idx = header["idx"]
    return tuple(int(idx[name]) for name in FRAME_COUNTERS)


def _of_series(key: Key) -> Key:
    """The key without its repetition."""
    slice_, contrast, phase, _, set_ = key
    return slice_, contrast, phase, set_


def _runs(headers: NDArray[np.void], *, separate: bool) -> Iterator[tuple[int, int]]:
    """Cut a batch where its frame or kind changes, and behind every LAST flag."""
    count = len(headers)
    if count == 1:
        yield 0, 1
        return
    idx, flags = headers["idx"], headers["flags"]
    cut = (flags[:-1] & ENDS_FRAME) != 0
    if separate:
        cut |= (flags[1:] & CALIBRATION_ONLY) != (flags[:-1] & CALIBRATION_ONLY)
    for name in (*FRAME_COUNTERS, "average"):
        cut |= idx[name][1:] != idx[name][:-1]
    edges = [0, *(np.flatnonzero(cut) + 1).tolist(), count]
    yield from pairwise(edges)


def _reference(frame: _Open, *, separate: bool, expected: NDArray[np.bool_]) -> Iterator[Reference]:
    block = frame.placed.calibration_block()
    if block is not None:
        yield Reference(block[1], block[0], frame.header, separate, expected)
