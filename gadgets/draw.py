"""Run the network on one frame, in the network's thread; whatever goes wrong becomes a reason."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import structlog

from engines.errors import EngineError
from engines.linear.calibration import Calibration
from engines.linear.errors import LinearError
from engines.unrolled import run
from engines.unrolled.begun import Begun
from engines.unrolled.early import Early
from gadgets.context import Context
from gadgets.lend import Loan, Opened
from gadgets.preparation import Preparations
from protocols.messages import EarlyFrame, Frame, Reconstruction

__all__ = ["Artist", "Drawn", "Job", "Sketch"]

MOST_EARLY: Final = 4  # frames drawn early that may wait for their last lines

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A frame for the network: its linear image, which knows the lines it was made from."""

    number: int
    linear: Reconstruction
    opened: Opened
    preparations: Preparations
    given_ns: int  # of the monotonic clock, as are the others
    due_ns: float  # until when it may take the linear image's place

    def able(self, now_ns: int) -> bool:
        """Whether it need not wait for its inverse."""
        source = self.linear.source
        pending = source is not None and self.preparations.pending(int(source.header["idx"]["slice"]))
        return not pending or now_ns >= self.patient_until_ns

    @property
    def patient_until_ns(self) -> float:
        """Until when an inverse that is on its way is sooner there than an image without it."""
        return self.given_ns + self.preparations.patience_s * 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What the network made of it, or why nothing came."""

    job: Job
    image: run.NetworkImage | None
    reason: str = ""


@dataclass(slots=True, eq=False)
class Sketch:
    """A frame for the network before its last lines are there."""

    frame: EarlyFrame
    opened: Opened
    preparations: Preparations
    due_ns: float  # after which it is of no use
    overtaken: bool = False  # by its frame, which is there

    def useless(self, now_ns: int) -> bool:
        """Whether it need not be begun any more."""
        return self.overtaken or now_ns >= self.due_ns

    def able(self, now_ns: int) -> bool:
        """Whether it can be begun, or is of no use any more."""
        frame = self.frame
        ready = self.preparations.ready(int(frame.header["idx"]["slice"]), frame.acquired[0])
        return self.useless(now_ns) or ready is not None


class Artist:
    """Makes the network images of a connection, all of them in one thread."""

    def __init__(self, context: Context, loan: Loan, drawn: Callable[[float], None]) -> None:
        self._context = context
        self._drawn = drawn  # is told how long a frame took, in ms
        self._loan = loan
        self._early: OrderedDict[int, Early] = OrderedDict()  # by the frame's number

    def draw(self, job: Job | Sketch) -> Drawn | None:
        """Make the network image of a job; None for a sketch, which is kept for its job; never raises."""
        if self._context.cancelled():
            return None if isinstance(job, Sketch) else Drawn(job, None, "the connection has ended")
        with self._context.lender.rush.on():
            if isinstance(job, Sketch):
                self._sketch(job)
                return None
            return self._draw(job)

    def _draw(self, job: Job) -> Drawn:
        frame, learned = job.linear.source, job.linear.learned
        if not isinstance(frame, Frame) or not isinstance(learned, Calibration):
            return Drawn(job, None, "it has no calibration")
        began = time.perf_counter()
        try:
            image = self._image(job, frame, learned)
        except (EngineError, LinearError, np.linalg.LinAlgError) as error:
            return Drawn(job, None, str(error))
        except Exception as error:
            log.exception("a network image failed", session=self._context.session)
            return Drawn(job, None, f"internal error, {type(error).__name__}: {error}; see the plugin's log")
        self._took("draw", began)
        return Drawn(job, image)

    def _sketch(self, job: Sketch) -> None:
        """Draw early what can be; what goes wrong goes wrong again, and is told, when the frame is complete."""
        frame = job.frame
        if job.useless(time.monotonic_ns()):
            return
        ready = job.preparations.ready(int(frame.header["idx"]["slice"]), frame.acquired[0])
        if ready is None or frame.hybrid[:, 0].shape != ready.calibration.maps.shape:
            return
        began = time.perf_counter()
        whole = partial(self._loan.run, job.opened.whole)
        try:
            drawn = run.draw_early(whole, ready, frame.hybrid[:, 0], frame.borrowed, self._context.helpers)
        except (EngineError, LinearError, np.linalg.LinAlgError) as error:
            log.warning("no early image", session=self._context.session, error=str(error))
            return
        self._took("draw early", began)
        self._early[frame.number] = drawn
        if len(self._early) > MOST_EARLY:
            self._early.popitem(last=False)

    def _took(self, stage: str, began: float) -> None:
        took_ms = (time.perf_counter() - began) * 1e3
        self._context.took(stage, took_ms)
        self._drawn(took_ms)

    def _image(self, job: Job, frame: Frame, learned: Calibration) -> run.NetworkImage:
        opened, slice_ = job.opened, int(frame.header["idx"]["slice"])
        early = self._early.pop(frame.early, None)
        card = opened.model.card
        ready = job.preparations.of(slice_, learned, frame.acquired[0], card.strength, frame.averages)
        job.preparations.wait(slice_, ready, job.patient_until_ns)
        whole, *parts = (partial(self._loan.run, engine) for engine in (opened.whole, *opened.cascades))
        cascades = run.Cascades(parts, opened.hidden) if parts else None
        begun = job.linear.begun if isinstance(job.linear.begun, Begun) else None
        beforehand = run.Beforehand(begun, early)
        image = run.draw(whole, cascades, ready, frame.hybrid[:, 0], self._context.helpers, beforehand)
        job.preparations.used(slice_)
        return image
