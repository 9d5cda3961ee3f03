"""Run the network on one frame, in the network's thread; whatever goes wrong becomes a reason."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog

from engines.errors import EngineError
from engines.linear.calibration import Calibration
from engines.linear.errors import LinearError
from engines.unrolled import run
from engines.unrolled.begun import Begun
from gadgets.context import Context
from gadgets.lend import Loan, Opened
from gadgets.preparation import Preparations
from protocols.messages import Frame, Reconstruction

__all__ = ["Drawn", "Job", "draw"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A frame for the network: its linear image, which knows the lines it was made from."""

    number: int
    linear: Reconstruction
    opened: Opened
    preparations: Preparations


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What the network made of it, or why nothing came."""

    job: Job
    image: run.NetworkImage | None
    reason: str = ""


def draw(context: Context, loan: Loan, job: Job) -> Drawn:
    """Make the network image of a job; never raises."""
    frame, learned = job.linear.source, job.linear.learned
    if not isinstance(frame, Frame) or not isinstance(learned, Calibration):
        return Drawn(job, None, "it has no calibration")
    if context.cancelled():
        return Drawn(job, None, "the connection has ended")
    began = time.perf_counter()
    try:
        image = _image(context, loan, job, frame, learned)
    except (EngineError, LinearError, np.linalg.LinAlgError) as error:
        return Drawn(job, None, str(error))
    except Exception as error:
        log.exception("a network image failed", session=context.session)
        return Drawn(job, None, f"internal error, {type(error).__name__}: {error}; see the plugin's log")
    context.took("draw", (time.perf_counter() - began) * 1e3)
    return Drawn(job, image)


def _image(context: Context, loan: Loan, job: Job, frame: Frame, learned: Calibration) -> run.NetworkImage:
    opened, slice_ = job.opened, int(frame.header["idx"]["slice"])
    card = opened.model.card
    ready = job.preparations.of(slice_, learned, frame.acquired[0], card.strength, frame.averages)
    job.preparations.wait(slice_, ready)
    whole, *parts = (partial(loan.run, engine) for engine in (opened.whole, *opened.cascades))
    cascades = run.Cascades(parts, opened.hidden) if parts else None
    begun = job.linear.begun if isinstance(job.linear.begun, Begun) else None
    image = run.draw(whole, cascades, ready, frame.hybrid[:, 0], context.helpers, begun)
    job.preparations.used(slice_)
    return image
