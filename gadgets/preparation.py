"""Inverses for the network, one a slice, made in workers and kept for as long as frames of that slice may come."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from functools import partial
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from engines.ahead import Ahead, nothing_ahead
from engines.linear.calibration import Calibration
from engines.linear.columns import nothing
from engines.linear.errors import LinearError
from engines.unrolled.balance import KEPT
from engines.unrolled.begun import linear_solver, serves_linear, suits_linear
from engines.unrolled.prepared import Prepared, expected_lines, inverse_bytes, make_inverse, make_ready, prepare
from gadgets.context import Context
from protocols.messages import Calibrated

__all__ = ["Preparations"]

PATIENCE_S: Final = 1.0  # for an inverse; then the frame is bridged
SERIES_S: Final = 3.0  # the same in a series: bridging takes from the inverse that all its frames need
MOST_BYTES = 2 << 30  # of inverses and predictors a connection may hold; further slices are bridged by iteration
log = structlog.get_logger()


class Preparations:
    """What is known, or being made, for every slice of a connection; used from several threads."""

    def __init__(
        self, context: Context, share: float, nearest: float, kept: float = KEPT, ahead: Ahead = nothing_ahead
    ) -> None:
        self._context = context
        self._ahead = ahead
        self._withheld = share, nearest
        self._kept = kept
        self._series = context.scan.encodings[0].repeats
        self._lock = threading.Lock()
        self._known: dict[int, Prepared] = {}
        self._making: dict[int, Future[None]] = {}
        self._bytes = 0

    def foresee(self, calibrated: Calibrated, strength: float) -> None:
        """Begin as soon as the calibration is there, for the lines that the frames should hold; does not wait.

        The linear image has the network's inverse, or its own after that: until then it takes 50 ms more.
        """
        calibrated.result.add_done_callback(partial(self._calibrated, calibrated, strength))

    def of(
        self,
        slice_: int,
        calibration: Calibration,
        acquired: NDArray[np.bool_],
        strength: float,
        averages: int = 1,
    ) -> Prepared:
        """What a frame with these lines (line,) can use now; where others follow it, an inverse is made for them."""
        with self._lock:
            known = self._known.get(slice_)
        same = known is not None and known.calibration is calibration and known.averages == averages
        if known is not None and same and np.array_equal(known.acquired, acquired):
            return known
        made = self._prepared(calibration, acquired, strength, averages)
        if self._series and not same:
            self._keep(slice_, made)
        return made

    def ready(self, slice_: int, acquired: NDArray[np.bool_]) -> Prepared | None:
        """What frames of a slice with these lines (line,) are drawn with at once; None while that is being made."""
        with self._lock:
            known, making = self._known.get(slice_), self._making.get(slice_)
        if known is None or making is None or not making.done() or known.problem is None:
            return None
        return known if np.array_equal(known.acquired, acquired) else None

    def _prepared(
        self, calibration: Calibration, acquired: NDArray[np.bool_], strength: float, averages: int = 1
    ) -> Prepared:
        made = prepare(calibration, acquired, strength, *self._withheld, averages)
        made.kept = self._kept
        return made

    @property
    def patience_s(self) -> float:
        """How long a frame waits for an inverse that is on its way; then it is bridged."""
        return SERIES_S if self._series else PATIENCE_S

    def pending(self, slice_: int) -> bool:
        """Whether a frame of a slice does better to wait for the inverse that is on its way.

        In a series for one that is not begun, too: those of other slices do not stand in a row before it.
        """
        with self._lock:
            making = self._making.get(slice_)
        return making is not None and not making.done() and (self._series or making.running())

    def wait(self, slice_: int, prepared: Prepared, until_ns: float) -> None:
        """Wait for an inverse that has been asked for only now, until then of the monotonic clock."""
        with self._lock:
            making = self._making.get(slice_) if self._known.get(slice_) is prepared else None
        if making is not None and self.pending(slice_):
            with suppress(NotInTime, CancelledError):
                making.result(max(0.0, (until_ns - time.monotonic_ns()) / 1e9))

    def used(self, slice_: int) -> None:
        """Free what a slice that does not come again has taken."""
        with self._lock:
            if not self._series and slice_ in self._known:
                self._bytes -= inverse_bytes(self._known.pop(slice_))
                self._making.pop(slice_, None)

    def _calibrated(self, calibrated: Calibrated, strength: float, result: "Future[object]") -> None:
        """Called in the worker that has calibrated."""
        if result.cancelled() or result.exception() is not None:
            return
        calibration = result.result()
        expected = expected_lines(calibration) if isinstance(calibration, Calibration) else None
        if expected is None or not isinstance(calibration, Calibration):
            return
        try:
            prepared = self._prepared(calibration, expected, strength)
            if not self._keep(calibrated.slice, prepared, partial(_serve_linear, calibrated, prepared)):
                calibrated.invert()
        except (LinearError, RuntimeError) as error:
            log.warning(
                "no inverse for the network", session=self._context.session, slice=calibrated.slice, error=str(error)
            )
            calibrated.invert()

    def _keep(self, slice_: int, prepared: Prepared, then: Callable[[], None] = lambda: None) -> bool:
        """Keep it, and have its inverse made where there is room; what comes `then` is not done otherwise."""
        size = inverse_bytes(prepared)
        with self._lock:
            before = self._known.get(slice_)
            self._bytes += size - (0 if before is None else inverse_bytes(before))
            self._known[slice_] = prepared
            room = self._bytes <= MOST_BYTES
            if room:
                self._making[slice_] = self._context.workers.submit(self._make, slice_, prepared, then)
        return room

    def _make(self, slice_: int, prepared: Prepared, then: Callable[[], None]) -> None:
        """Make it, unless a newer calibration has taken its place or its only frame has gone by."""
        began = time.perf_counter()

        def in_vain() -> bool:
            return self._context.cancelled() or self._known.get(slice_) is not prepared

        make = make_ready if self._series else make_inverse  # a predictor takes longer than the iteration it saves
        coming = prepared.calibration.coming if suits_linear(prepared) else None
        if coming is not None:
            coming.expect(prepared.box.columns_problem.maps.shape[2])
        try:
            see = nothing if coming is None else coming.see
            with self._context.lender.rush.on():
                make(prepared, in_vain, self._context.workers, see, self._ahead)
        except (LinearError, np.linalg.LinAlgError) as error:
            log.warning("not all is ready for the network", session=self._context.session, error=str(error))
        self._context.took("network inverse", (time.perf_counter() - began) * 1e3)
        then()


def _serve_linear(calibrated: Calibrated, prepared: Prepared) -> None:
    """Let the linear image of a slice come from the network's inverse where that is as good."""
    if serves_linear(prepared):
        calibrated.lend(linear_solver(prepared))
    else:
        calibrated.invert()
