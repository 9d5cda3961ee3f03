"""Whether the patient still lies where the scout saw him: the first images of a scan, laid upon the scout."""

from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.positioning.brain import brain_in, template_for
from engines.positioning.crossing import Slices, moved_between
from engines.positioning.gather import Slab, gathered
from engines.positioning.grid import Sheet
from engines.positioning.rigid import Moved
from engines.positioning.scout import Scout, bare
from engines.positioning.since import beneath, moved_since, points_in
from gadgets.context import Context
from gadgets.image_verdict import series_of
from protocols.errors import PeerError
from protocols.events import Flag, Prescription, Severity
from protocols.geometry import grid_of
from protocols.messages import Image
from protocols.stack import Stack

__all__ = ["FEWEST", "Displaced", "unknown"]

CODE: Final = "displaced"
FEWEST: Final = 4  # slices that tell a head's place
DEPTH_MM: Final = 20.0  # beneath the skin, where nobody knows where the brain is
ALIKE: Final = 0.5  # correlation below which the images do not tell where they lie
PATIENCE_S: Final = 20.0  # at the end of a scan, on a machine that is busy
ADVICE: Final = "take a new scout and prescribe anew: the patient has moved"


def unknown(context: Context, why: str) -> Flag:
    """Say that nobody knows whether the patient has moved."""
    return context.flag(CODE, Severity.UNKNOWN, f"whether the patient has moved since the scout cannot be told: {why}")


@dataclass(slots=True, eq=False)
class Displaced:
    """Gathers the first images of a scan and lays them upon the scout in a worker, once."""

    context: Context
    scout: Scout | Slices
    asked: Prescription
    stack: Stack  # that was asked for
    mm: float
    deg: float
    _slices: dict[int, Slab] = field(default_factory=dict)
    _found: "Future[Moved] | None" = None
    _said: bool = False

    def see(self, image: Image) -> None:
        """Take a slice that is the first of its number; begin to compare when the first half of them is there."""
        number = int(image.header["slice"])
        if self._found is not None or series_of(image) or number in self._slices or image.pixels.shape[1] > 1:
            return
        try:
            self._slices[number] = np.abs(image.pixels[0]).astype(np.float32), grid_of(image.header)
        except PeerError:
            return
        if len(self._slices) >= max(-(-self.stack.slices // 2), FEWEST):
            self._begin()

    def told(self, *, at_end: bool = False) -> Iterator[Flag]:
        """Say once what was found, as soon as it is known; at the end it is waited for."""
        if at_end and self._found is None and len(self._slices) >= FEWEST:
            self._begin()
        if self._said or self._found is None or not (at_end or self._found.done()):
            if at_end and self._found is None:
                yield unknown(self.context, f"{len(self._slices)} slices came, {FEWEST} were wanted")
            return
        self._said = True
        try:
            yield self._judged(self._found.result(PATIENCE_S))
        except (NotInTime, np.linalg.LinAlgError) as error:
            yield unknown(self.context, str(error) or f"no result after {PATIENCE_S:g} s")

    def _begin(self) -> None:
        slices = tuple(self._slices.values())
        self._found = self.context.workers.submit(_moved, self.scout, self.asked, self.stack, slices)

    def _judged(self, found: Moved) -> Flag:
        """A flag of how the patient has moved; what was found takes places of now to those of the scout."""
        if not found.likeness:
            return unknown(self.context, "images and scout show too little of the same brain")
        if found.likeness < ALIKE:
            return unknown(self.context, f"the images are unlike the scout (correlation {found.likeness:.2f})")
        middle_mm = np.array(self.stack.centre_mm)
        here = (middle_mm - found.shift_mm) @ found.turn
        mm, deg = float(np.linalg.norm(here - middle_mm)), found.angle_deg
        stale = not (mm <= self.mm and deg <= self.deg)
        text = f"the patient lies {mm:.1f} mm and {deg:.1f} deg from where the scout saw him"
        return self.context.flag(
            CODE,
            Severity.WARN if stale else Severity.PASS,
            f"the prescription is stale: {text}" if stale else text,
            advice=ADVICE if stale else "",
            score=round(mm, 2),
            unit="mm",
            evidence={"mm": round(mm, 2), "deg": round(deg, 2), "slices": len(self._slices)},
        )


def _moved(scout: Scout | Slices, asked: Prescription, stack: Stack, slices: tuple[Slab, ...]) -> Moved:
    """What takes places of now to those of the scout."""
    sheet, counts = _compared(scout, asked.anatomy, asked.plan, stack)
    if isinstance(scout, Slices):
        return moved_between(slices, scout, sheet, counts)
    return moved_since(points_in(slices), sheet, counts)


@lru_cache(maxsize=4)
def _compared(scout: Scout | Slices, anatomy: str, plan: str, stack: Stack) -> tuple[Sheet, NDArray[np.bool_]]:
    """A scout and its voxels that count: the brain, or all that lies deep where none is found."""
    sheet = Sheet(bare(*gathered(scout.slabs)) if isinstance(scout, Slices) else scout)
    brain = brain_in(sheet, template_for(anatomy), plan, stack)
    return sheet, beneath(sheet, DEPTH_MM) if brain is None else brain
