"""Whether the patient still lies where the scout saw him: the first images of a scan, laid upon the scout."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.rigid import Moved, Points, aligned
from engines.positioning.scout import Scout
from gadgets.context import Context
from gadgets.image_verdict import series_of
from protocols.errors import PeerError
from protocols.events import Flag, Severity
from protocols.geometry import grid_of, lps_from_pixel
from protocols.messages import Image

__all__ = ["FEWEST", "Displaced", "unknown"]

CODE: Final = "displaced"
FEWEST: Final = 4  # slices that tell a head's place
STEP_MM: Final = 4.0  # of the points that are looked at in a slice
SMOOTH_MM: Final = 4.5  # as in the scout
DEPTH_MM: Final = 20.0  # beneath the skin: fat is bright in one contrast and dark in another
ALIKE: Final = 0.8  # correlation below which the images do not tell where they lie
PATIENCE_S: Final = 10.0
ADVICE: Final = "take a new scout and prescribe anew: the patient has moved"


def unknown(context: Context, why: str) -> Flag:
    """Say that nobody knows whether the patient has moved."""
    return context.flag(CODE, Severity.UNKNOWN, f"whether the patient has moved since the scout cannot be told: {why}")


@dataclass(slots=True, eq=False)
class Displaced:
    """Gathers points of the first images of a scan and lays them upon the scout in a worker, once."""

    context: Context
    scout: Scout
    middle_mm: NDArray[np.float64]  # (3,) of what was prescribed, where a shift is told of
    slices: int  # that are waited for
    mm: float
    deg: float
    _slices: dict[int, Points] = field(default_factory=dict)
    _found: "Future[Moved] | None" = None
    _said: bool = False

    def see(self, image: Image) -> None:
        """Take a slice that is the first of its number; begin to compare when there are enough."""
        number = int(image.header["slice"])
        if self._found is not None or series_of(image) or number in self._slices or image.pixels.shape[1] > 1:
            return
        try:
            self._slices[number] = _points(image)
        except PeerError:
            return
        if len(self._slices) >= self.slices:
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
        except (TimeoutError, np.linalg.LinAlgError) as error:
            yield unknown(self.context, str(error) or f"no result after {PATIENCE_S:g} s")

    def _begin(self) -> None:
        places = np.concatenate([points.places_mm for points in self._slices.values()])
        values = np.concatenate([points.values for points in self._slices.values()])
        self._found = self.context.workers.submit(aligned, Points(places, values), self.scout, depth_mm=DEPTH_MM)

    def _judged(self, found: Moved) -> Flag:
        """A flag of how the patient has moved; what was found takes places of now to those of the scout."""
        if found.likeness < ALIKE:
            return unknown(self.context, f"the images are unlike the scout (correlation {found.likeness:.2f})")
        here = (self.middle_mm - found.shift_mm) @ found.turn
        mm, deg = float(np.linalg.norm(here - self.middle_mm)), found.angle_deg
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


def _points(image: Image) -> Points:
    """Every STEP_MM a point of a slice, smoothed to what a scout shows."""
    grid = grid_of(image.header)
    spacing_mm = grid.spacing_mm()
    pixels = np.abs(image.pixels[0, 0]).astype(np.float32)
    smooth = ndimage.gaussian_filter(pixels, SMOOTH_MM / 2.355 / spacing_mm[1::-1], truncate=3.0)
    down, across = (max(1, round(STEP_MM / mm)) for mm in (spacing_mm[1], spacing_mm[0]))
    rows, columns = (index.ravel() for index in np.mgrid[0 : grid.matrix[1] : down, 0 : grid.matrix[0] : across])
    places = lps_from_pixel(grid, np.stack((columns, rows, np.zeros(rows.size)), axis=1))
    return Points(places, smooth[rows, columns])
