"""locate: find landmarks in the images of a scout, and say where the next slices should lie."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from engines.errors import EngineError
from engines.positioning.find import Infer, find, rehearse
from engines.positioning.gather import Slab, gathered
from engines.positioning.scout import Scout
from engines.positioning.template import template_of
from gadgets.context import Context
from gadgets.image_verdict import series_of
from gadgets.lend import Loan, Opened
from gadgets.prescriptions import nothing, prescriptions
from protocols.errors import PeerError
from protocols.geometry import grid_of
from protocols.messages import Failure, Image, Message
from protocols.stream import Node

__all__ = ["locate"]

CODE: Final = "locate"
TASK: Final = "landmarks"
OPENING_S: Final = 20.0  # how long the end of a scout waits for the network to be opened
PATIENCE_S: Final = 20.0  # for each answer: later than wanted is of more use than never, but a network may hang
INCOMPLETE: Final = "missing_lines"  # flag of an image that lacks some


def locate(context: Context, anatomy: str = "", plan: str = "") -> Node:
    """Collect a scout's images, let the networks that [engines] names find landmarks, and prescribe a plan, or all.

    Images leave at once. One volume or slices in any planes; of several volumes the last counts. What is prescribed
    leaves as `prescribe` sends it; later than [deadlines] locate, in ms from the last image on, costs a warning.
    Networks that fail or hang cost a flag UNKNOWN; after a scan that broke off nothing is prescribed.
    Planes that the console has set for the same subject before come back, where a folder of prior exams was given.
    """
    engines = context.protocol.engines
    loan = context.lender.borrow(engines.models[CODE], engines.backends, _rehearsed)

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        seen = _Collected()
        broken = False
        for message in messages:
            broken = broken or isinstance(message, Failure)
            yield message
            if isinstance(message, Image):
                seen.take(message)
        if not broken:
            yield from _located(context, loan, seen, anatomy, plan)

    return node


def _rehearsed(opened: Opened) -> None:
    if _fits(opened):
        rehearse(template_of(opened.model), opened.whole, opened.cascades[0])


def _fits(opened: Opened) -> bool:
    return opened.model.card.task == TASK and bool(opened.cascades)


@dataclass(slots=True, eq=False)
class _Collected:
    """Images of a scan's own series, and what is wrong with them."""

    slabs: dict[tuple[int, ...], Slab] = field(default_factory=dict)  # the last of every slice
    noise: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    last: Image | None = None

    def take(self, image: Image) -> None:
        """Keep an image; one of a further series, contrast or set is another view of what is there already."""
        idx = image.header
        if series_of(image) or idx["contrast"] or idx["set"]:
            return
        try:
            grid = grid_of(image.header)
        except PeerError as error:
            self.wrong.append(f"no_place: {error}")
            return
        pixels = np.abs(image.pixels[0]).astype(np.float32)
        if not np.isfinite(pixels).all():
            count = int(pixels.size - np.isfinite(pixels).sum())
            self.wrong.append(
                f"not_finite: {count} pixels of slice {int(idx['slice'])} are not finite; take a new scout"
            )
        self.wrong += [f"incomplete: {flag.message}" for flag in image.flags if flag.code == INCOMPLETE]
        self.slabs[(int(idx["slice"]), *pixels.shape)] = pixels, grid
        self.last = image
        if image.noise_std is not None and np.isfinite(image.noise_std).all():
            inside = image.noise_std[image.noise_std > 0]
            self.noise += [float(np.median(inside))] if inside.size else []


def _located(context: Context, loan: Loan, seen: _Collected, anatomy: str, plan: str) -> Iterator[Message]:
    """Prescriptions of what is found, or one flag that says why there are none."""
    began = time.perf_counter()
    opened = loan.wait(OPENING_S)
    wrong = _wrong(context, seen)
    if wrong or isinstance(opened, str):
        yield nothing(context, wrong or f"network {loan.name}: {opened}")
        return
    if not _fits(opened):
        yield nothing(context, f"{opened.model.card.name} is no whole model for the task {TASK!r}")
        return
    try:
        scout = _scout(context, seen)
        found = find(scout, template_of(opened.model), *_networks(loan, opened), context.helpers)
    except EngineError as error:
        yield nothing(context, f"the network failed: {error}", model_hash=opened.model.hash)
        return
    yield from prescriptions(context, found, anatomy, plan, scout, model_hash=opened.model.hash)
    context.took(CODE, (time.perf_counter() - began) * 1e3)


def _wrong(context: Context, seen: _Collected) -> str:
    """Why a scout's images are nothing to plan on; "" where they are."""
    if seen.wrong:
        return seen.wrong[0]
    return _never_came(context, seen) if seen.last is not None else "the scan has no image"


def _never_came(context: Context, seen: _Collected) -> str:
    """Which slices the header announces and nobody has seen; "" where none is lost, or where a volume is the scout."""
    limit = context.scan.encodings[0].limits.get("slice")
    if limit is None or any(len(pixels) > 1 for pixels, _ in seen.slabs.values()):
        return ""
    announced = range(limit.minimum, limit.maximum + 1)
    came = {number for number, *_ in seen.slabs if number in announced}
    if not (lost := len(announced) - len(came)):
        return ""
    first = next(number for number in announced if number not in came)
    return f"incomplete: {lost} of {len(announced)} slices never came, slice {first} first; take a new scout"


def _networks(loan: Loan, opened: Opened) -> tuple[Infer, Infer]:
    """The networks for the whole scout and for what is near."""
    return (
        lambda tensors: loan.run(opened.whole, dict(tensors), PATIENCE_S),
        lambda tensors: loan.run(opened.cascades[0], dict(tensors), PATIENCE_S),
    )


def _scout(context: Context, seen: _Collected) -> Scout:
    assert seen.last is not None  # noqa: S101
    pixels, affine = gathered(tuple(seen.slabs.values()))
    x, y, z = (float(mm) for mm in seen.last.header["patient_table_position"])
    age_s = (time.monotonic_ns() - seen.last.arrived_ns) / 1e9 if seen.last.arrived_ns else 0.0
    return Scout(
        pixels=pixels,
        affine=affine,
        noise=float(np.median(seen.noise)) if seen.noise else None,
        patient_position=context.scan.patient_position,
        table_position_mm=(x, y, z),
        measurement_id=context.scan.measurement_id,
        time_s=time.time() - age_s,
    )
