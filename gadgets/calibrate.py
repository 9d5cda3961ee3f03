"""calibrate: learn from calibration lines in a worker, while the rest of the frame is still being acquired."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engines.linear.calibration import Calibration, MapMethod, Solver, grappa_for, learn, solver_of
from engines.linear.columns import Columns, invert_columns
from engines.linear.coming import Coming
from engines.linear.errors import LinearError
from engines.linear.slab import learn_slab
from gadgets.context import Context
from protocols.messages import Calibrated, Frame, Message, NoiseScan, Reference
from protocols.stream import Node

__all__ = ["calibrate"]

MOST_INVERSE_BYTES = 1 << 30  # of dense inverses a connection may hold; further slices are solved by iteration
Regularisation = Annotated[float, Field(gt=0)]


def calibrate(
    context: Context,
    maps: MapMethod = "walsh",
    refresh: Literal["scan", "frame"] = "scan",
    regularisation: Regularisation = 0.01,
    *,
    grappa: bool = False,
) -> Node:
    """Turn every Reference into sensitivity maps and weights, in a worker thread, as soon as it is there.

    `refresh = "scan"` learns a slice once and keeps it for all its frames, `"frame"` learns from every frame's own
    calibration lines. A slice without calibration lines gets those of the scan that the header depends on, if the
    plugin still has them. Where a slice will be seen more than once, and for a slab, the dense inverses of its columns
    are made too. The maps of a slab are Walsh's, whatever `maps` says.
    `grappa = true` fits GRAPPA weights beforehand, for chains whose `reconstruct` has `method = "grappa"`.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        desk = _Desk(context, maps, regularisation, grappa=grappa)
        known: set[int] = set()
        for message in messages:
            if isinstance(message, NoiseScan):
                desk.whitened = message.whitened
            if isinstance(message, Reference):
                slice_ = int(message.header["idx"]["slice"])
                if slice_ not in known or refresh == "frame":
                    known.add(slice_)
                    yield desk.begin(slice_, message)
                continue
            if isinstance(message, Frame) and (slice_ := int(message.header["idx"]["slice"])) not in known:
                kept = desk.kept(slice_, message)
                if kept is not None:
                    known.add(slice_)
                    yield kept
            yield message

    return node


class _Desk:
    """Workers' errands, and what earlier scans left."""

    def __init__(self, context: Context, maps: MapMethod, regularisation: float, *, grappa: bool) -> None:
        self.whitened = False
        self._context = context
        self._maps = maps
        self._regularisation = regularisation
        self._grappa = grappa
        self._inverse_bytes = 0
        self._at_once = "network" not in dict(context.protocol.chain.nodes)  # a network's own inverse goes first
        self._begun: dict[int, tuple[Columns, Future[Solver | None], Coming]] = {}
        self._series = context.scan.encodings[0].repeats

    def begin(self, slice_: int, reference: Reference) -> Calibrated:
        """Start to learn; what is learned is kept for scans that depend on this one."""
        result: Future[object] = self._context.workers.submit(self._learn, slice_, reference)
        return Calibrated(slice_, result, partial(self._invert, slice_), partial(self._lent, slice_))

    def kept(self, slice_: int, frame: Frame) -> Calibrated | None:
        """What the scan that this one depends on has left for a slice of the same size and coils."""
        for measurement in self._context.scan.dependencies.values():
            found = self._context.memory.calibrations.get((measurement, slice_))
            if isinstance(found, Calibration) and found.maps.shape == _shape(frame):
                result: Future[object] = Future()
                result.set_result(found)
                return Calibrated(slice_, result)
        return None

    def _learn(self, slice_: int, reference: Reference) -> Calibration:
        began = time.perf_counter()
        slab = reference.hybrid.shape[1] > 1
        made = self._learn_slab(reference) if slab else self._learn_slice(reference)
        acceleration = self._context.scan.encodings[0].acceleration[0]
        if self._grappa and acceleration > 1:
            made = replace(made, grappa=grappa_for(made, acceleration))
        self._context.took("calibrate", (time.perf_counter() - began) * 1e3)
        if self._context.scan.measurement_id and not slab:
            self._context.memory.calibrations.put((self._context.scan.measurement_id, slice_), made)
        if made.problem is not None and (self._series or slab) and self._has_room(made.problem):
            coming = Coming()
            self._begun[slice_] = made.problem, Future(), coming
            made = replace(made, solver=self._begun[slice_][1], coming=coming)
            if self._at_once:
                self._invert(slice_)
        return made

    def _learn_slice(self, reference: Reference) -> Calibration:
        lines, expected = reference.hybrid[:, 0], reference.expected[0]
        return learn(lines, reference.first_line, expected, self._maps, self._regularisation, self._context.helpers)

    def _learn_slab(self, reference: Reference) -> Calibration:
        expected = np.asarray(reference.expected[reference.expected.any(axis=1)].all(axis=0))
        noise_std = 1.0 if self.whitened else 0.0
        return learn_slab(reference.hybrid, reference.first_line, expected, self._regularisation, noise_std)

    def _has_room(self, problem: Columns) -> bool:
        rows, columns = problem.maps.shape[1:]
        self._inverse_bytes += columns * rows * rows * 4
        return self._inverse_bytes <= MOST_INVERSE_BYTES

    def _invert(self, slice_: int) -> None:
        """Begin to invert the columns of a slice, unless that has begun."""
        begun = self._begun.pop(slice_, None)
        if begun is not None:
            self._context.workers.submit(self._inverted, *begun)

    def _lent(self, slice_: int, solver: Solver) -> None:
        """Let a slice be solved by what somebody else has made, unless its inverse has begun."""
        begun = self._begun.pop(slice_, None)
        if begun is not None:
            begun[1].set_result(solver)

    def _inverted(self, problem: Columns, solver: "Future[Solver | None]", coming: Coming) -> None:
        began = time.perf_counter()
        workers = self._context.workers
        coming.expect(problem.maps.shape[2])
        try:
            with self._context.lender.rush.on():
                inverse = invert_columns(problem, self._context.cancelled, workers=workers, then=coming.see)
            solver.set_result(None if inverse is None else solver_of(inverse))
        except (LinearError, np.linalg.LinAlgError) as error:
            solver.set_exception(error)
        self._context.took("invert columns", (time.perf_counter() - began) * 1e3)


def _shape(frame: Frame) -> tuple[int, ...]:
    coils, _, lines, samples = frame.hybrid.shape
    return coils, lines, samples
