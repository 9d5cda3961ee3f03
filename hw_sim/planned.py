"""A scan of an exam that was to lie where the plugin prescribes: what was asked, set, measured, and what is true."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hw_sim.errors import SimulationError
from hw_sim.export import stacked
from hw_sim.overlay import overlay
from protocols.events import Prescription
from protocols.geometry import grid_of
from protocols.messages import Image
from protocols.prescription import Answer
from protocols.stack import Stack, apart, plane_names

__all__ = ["Planned", "measured"]


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """What the console knows of a prescribed scan before it begins."""

    plan: str
    said: tuple[str, ...]  # by the console, a sentence each
    scout: tuple[Image, ...] = ()
    asked: Prescription | None = None
    answer: Answer | None = None
    way: str = ""  # by which the plugin was told what was set
    truth: Stack | None = None  # None where nobody knows it

    def rows(self, images: Sequence[Image]) -> Iterator[tuple[str, str]]:
        """Lines of a table: name and words."""
        if self.asked is not None:
            yield "prescribed", f"{self.asked.status}: {'; '.join(self.asked.reasons) or 'nothing is in doubt'}"
            if self.asked.stack is not None:
                yield "planes", _in_words(self.asked.stack)
            if self.asked.region90_mm is not None:
                yield "90 % region", f"{self.asked.region90_mm:.1f} mm, {self.asked.region90_deg:.1f} deg"
        yield "console", "; ".join(self.said)
        yield "the plugin was told", self.way or "nothing"
        got = measured(images)
        if got is None:
            return
        yield "measured", _in_words(got)
        if self.asked is not None and self.asked.stack is not None:
            yield "measured against prescribed", _difference(got, self.asked.stack)
        if self.truth is not None:
            yield "measured against the truth", _difference(got, self.truth)

    def picture(self, images: Sequence[Image]) -> bytes | None:
        """PNG of the scout with the slices that were measured, else those that were prescribed; None without either."""
        stack = measured(images) or (None if self.asked is None else self.asked.stack)
        return overlay(self.scout, stack, self.truth) if self.scout and stack is not None else None


def measured(images: Sequence[Image]) -> Stack | None:
    """The stack in which images lie, by their headers; None where they are none."""
    first = [image for image in images if image.header["image_series_index"] == images[0].header["image_series_index"]]
    try:
        whole = stacked(first)
    except SimulationError:
        return None
    middles = np.array([grid_of(image.header).position_mm for image in first])
    x, y, z = (float(mm) for mm in (middles.min(axis=0) + middles.max(axis=0)) / 2)
    grid = whole.grid
    return Stack(
        centre_mm=(x, y, z),
        read_dir=grid.read_dir,
        phase_dir=grid.phase_dir,
        slice_dir=grid.slice_dir,
        field_of_view_mm=grid.fov_mm[:2],
        thickness_mm=whole.thickness_mm,
        gap_mm=float(grid.spacing_mm()[2]) - whole.thickness_mm if len(first) > 1 else 0.0,
        slices=len(first),
    )


def _in_words(stack: Stack) -> str:
    where = ", ".join(f"{mm:.1f}" for mm in stack.centre_mm)
    return f"{stack.slices} slices {plane_names(stack)} about ({where}) mm, every {stack.step_mm:g} mm"


def _difference(one: Stack, other: Stack) -> str:
    off = apart(one, other)
    along = abs(float(np.subtract(one.centre_mm, other.centre_mm) @ np.array(other.slice_dir)))
    normals = np.degrees(np.arccos(np.clip(np.dot(one.slice_dir, other.slice_dir), -1, 1)))
    return (
        f"middle {off.centre_mm:.1f} mm off ({along:.1f} mm of it along the normal), "
        f"turned by {off.turn_deg:.1f} deg (planes tilted by {normals:.1f} deg)"
    )
