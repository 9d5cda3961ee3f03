"""network: the network's image in place of the linear one, or behind it; on time, or the linear image goes first."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.ahead import nothing_ahead
from engines.linear.calibration import Calibration
from engines.unrolled.balance import KEPT
from engines.unrolled.scope import facts_of, outside
from engines.unrolled.trust import NEAREST
from gadgets.context import Context
from gadgets.draw import Artist, Drawn, Job, Sketch
from gadgets.lend import Loan, Opened
from gadgets.network_story import alone, error_map_of, fallback, in_doubt, network_image
from gadgets.preparation import Preparations
from gadgets.turns import Turns
from protocols.aside import Answer, Aside, aside
from protocols.events import Severity
from protocols.messages import Calibrated, EarlyFrame, Message, NoiseScan, Reconstruction
from protocols.problems import Problem, ProtocolError
from protocols.stream import Node

__all__ = ["network"]

DEPTH: Final = 8  # frames that may wait for the network; beyond that the linear image goes out alone
CROWD: Final = 6  # frames beyond which those that are late are not held back
REFUSE_S: Final = 20.0  # how long a scan that is refused without its network waits for it to be opened
Side: TypeAlias = Aside[Job | Sketch, Drawn | None]
Share = Annotated[float, Field(ge=0.01, le=0.1)]
Distance = Annotated[float, Field(ge=0.03, le=0.6)]
Kept = Annotated[float, Field(ge=0, le=1)]


def network(
    context: Context,
    trust: Literal["withhold", "off"] = "withhold",
    withheld_share: Share = 0.03,
    withheld_from: Distance = NEAREST,
    keep_noise: Kept = KEPT,
    *,
    error_map: bool = False,
) -> Node:
    """Run the model that [engines] names on every frame; the linear image is what it falls back to, with a flag.

    `emit = "network"` holds the linear image back until [deadlines] network, in ms after the last readout, has passed;
    a network image that comes later follows as a series of its own, as it always does with `emit = "both"`. Frames
    outside the range of the model's card, an engine that fails and an image with NaN leave the linear image alone; a
    network image that breaks a limit of trust is followed by its linear one. Frames that can still be in time go before
    those that are late already.
    `trust = "withhold"` keeps `withheld_share` of the acquired lines from the network and predicts them from its
    image; they lie from `withheld_from` of the way to the edge of k-space outwards, and the nearer they are, the more
    they cost and tell. `keep_noise` is the share of the lines' noise that stays in the image, from 0, the smoothest, to
    1, what the lines say. `error_map = true` sends the network's own error map as a further series.
    Where `accumulate` tells frames early, the network begins with the last lines of the frame before, and again where
    those that have come then differ by more than noise.
    """
    share = withheld_share if trust == "withhold" else 0.0
    engines = context.protocol.engines
    loan = context.lender.borrow(engines.models["network"], engines.backends)
    if engines.on_unusable == "refuse" and isinstance(reason := loan.wait(REFUSE_S), str):
        raise ProtocolError([Problem(context.protocol.where, "engines.models.network", reason)])

    def ahead(inverse: NDArray[np.float32]) -> Callable[[slice], None]:
        opened = loan.state()
        return opened.whole.ahead(inverse) if isinstance(opened, Opened) else nothing_ahead(inverse)

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        preparations = Preparations(context, share, withheld_from, keep_noise, ahead)
        turns = Turns(CROWD)
        with aside(messages, Artist(context, loan, turns.drawn).draw, DEPTH, "network", turns.first) as side:
            desk = _Desk(context, loan, preparations, side, turns, error_map=error_map)
            while not side.over:
                got = side.take(desk.patience_s())
                yield from desk.take(got)
                if side.ended:
                    turns.over()

    return node


class _Desk:
    """Which linear images wait for their network image, and until when."""

    def __init__(
        self, context: Context, loan: Loan, preparations: Preparations, side: Side, turns: Turns, *, error_map: bool
    ) -> None:
        self._context = context
        self._loan = loan
        self._preparations = preparations
        self._side = side
        self._turns = turns
        self._error_map = error_map
        self._replaces = context.protocol.engines.emit == "network"
        self._deadline_ms = context.protocol.deadlines["network"] if self._replaces else math.inf
        self._waiting: dict[int, Reconstruction] = {}
        self._count = 0
        self._whitened = False
        self._told = False
        self._sketch: Sketch | None = None  # the last one, until its frame is there

    def patience_s(self) -> float | None:
        """How long the image that waits longest may wait on; None where none does."""
        if not self._waiting:
            return None
        return max(0.0, min(map(self._due_ns, self._waiting.values())) - time.monotonic_ns()) / 1e9

    def take(self, got: Message | Answer[Drawn | None] | None) -> Iterator[Message]:
        """Send on what can be sent now."""
        if isinstance(got, Answer):
            yield from self._answered(got.value) if got.value is not None else ()
        elif isinstance(got, EarlyFrame):
            self._begin_early(got)
        elif isinstance(got, Reconstruction):
            yield from self._begin(got)
            self._turns.came(got.arrived_ns, self._due_ns(got))  # now that it waits, no late one slips in before it
        elif isinstance(got, Calibrated):
            self._foresee(got)
        elif got is not None:
            self._whitened = self._whitened or (isinstance(got, NoiseScan) and got.whitened)
            yield got
        yield from self._overdue()

    def _foresee(self, calibrated: Calibrated) -> None:
        """Let the inverses be made while the frame is still being acquired."""
        opened = self._loan.state()
        if isinstance(opened, Opened):
            self._preparations.foresee(calibrated, opened.model.card.strength)
        else:
            calibrated.result.add_done_callback(lambda _: calibrated.invert())

    def _begin_early(self, frame: EarlyFrame) -> None:
        """Let the network begin before the last lines are there."""
        opened, ends_ns = self._loan.state(), self._turns.told()
        if isinstance(opened, Opened) and (self._replaces or self._side.idle):
            self._overtake()
            sketch = Sketch(frame, opened, self._preparations, ends_ns)
            self._sketch = sketch if self._side.give(sketch) else None

    def _overtake(self) -> None:
        if self._sketch is not None:
            self._sketch.overtaken = True
            self._sketch = None

    def _begin(self, made: Reconstruction) -> Iterator[Message]:
        """Give the frame to the network, or say why not."""
        self._overtake()
        opened = self._loan.state()
        if isinstance(opened, str):
            yield self._alone(made, "network_unusable", f"network {self._loan.name}: {opened}")
            return
        if not self._told:
            self._told = True
            yield self._context.flag("engine", Severity.PASS, opened.told, model_hash=opened.model.hash)
        wrong = self._outside(made, opened)
        if wrong:
            yield self._alone(made, "outside_range", f"no frame for network {self._loan.name}: {'; '.join(wrong)}")
            return
        self._count += 1
        job = Job(self._count, made, opened, self._preparations, time.monotonic_ns(), self._due_ns(made))
        if self._side.give(job):
            if self._replaces:
                self._waiting[self._count] = made
            else:
                yield made
            return
        yield self._alone(made, "network_late", f"{DEPTH} frames wait for the network already")

    def _outside(self, made: Reconstruction, opened: Opened) -> tuple[str, ...]:
        """Why this frame is none for the network."""
        frame, learned = made.source, made.learned
        if frame is None or not isinstance(learned, Calibration):
            return ("it has no calibration",)
        if not self._whitened:
            return ("its noise is not known, and the network works in units of noise",)
        if frame.hybrid.shape[1] != 1 or learned.maps.shape != frame.hybrid[:, 0].shape:
            return (f"it is {frame.hybrid.shape}, its calibration {learned.maps.shape}",)
        pixels = made.pixels[0] * np.float32(frame.averages**0.5)
        facts = facts_of(pixels, learned.inside, frame.acquired[0], len(learned.maps), learned.lines.shape[1])
        return outside(facts, opened.model.card.range)

    def _answered(self, drawn: Drawn) -> Iterator[Message]:
        """Send the network's image, in place of the linear one if that still waits."""
        job = drawn.job
        linear = self._waiting.pop(job.number, None)
        self._context.took("network", (time.monotonic_ns() - job.linear.arrived_ns) / 1e6)
        if drawn.image is not None:
            made = network_image(self._context, drawn, accompanies=linear is None)
            yield made
            if linear is not None and in_doubt(made):
                yield replace(linear, flags=(), series="linear")
            if self._error_map:
                yield error_map_of(made, drawn.image)
            return
        text = f"network {self._loan.name} made no image: {drawn.reason}"
        if linear is None:
            yield fallback(self._context, job.linear, "network_failed", text, self._hash())
        else:
            yield self._alone(linear, "network_failed", text)

    def _overdue(self) -> Iterator[Message]:
        """Let linear images go whose network image did not come in time."""
        now = time.monotonic_ns()
        for number in [number for number, made in self._waiting.items() if self._due_ns(made) <= now]:
            text = f"no network image {self._deadline_ms:g} ms after the last readout; it follows if it comes"
            yield self._alone(self._waiting.pop(number), "network_late", text)

    def _due_ns(self, made: Reconstruction) -> float:
        return made.arrived_ns + self._deadline_ms * 1e6

    def _alone(self, made: Reconstruction, code: str, text: str) -> Reconstruction:
        return alone(made, fallback(self._context, made, code, text, self._hash()))

    def _hash(self) -> str:
        opened = self._loan.state()
        return opened.model.hash if isinstance(opened, Opened) else ""
