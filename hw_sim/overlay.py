"""A scout with planned slices drawn on it, in the three planes through their middle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hw_sim.planes import STANDARD
from protocols.geometry import Grid, grid_of, lps_from_pixel, pixel_from_lps
from protocols.messages import Image
from protocols.stack import Stack, centres_mm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["View", "cut", "draw", "overlay", "views"]

STEP_MM: Final = 1.0  # of a view through a volume
REACH_MM: Final = 140.0  # of a view through a volume, from its middle
PARALLEL: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture of the scout and the plane that it shows."""

    name: str
    pixels: NDArray[np.floating]  # (row, column)
    grid: Grid  # one slice; rows run along phase, columns along read

    def on_picture(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column and row (..., 2) of points (..., 3) in LPS mm, seen along the slice direction."""
        return pixel_from_lps(self.grid, points_mm)[..., :2]


def views(scout: Sequence[Image], middle_mm: Sequence[float]) -> list[View]:
    """Axial, sagittal and coronal view through a point: cut out of a volume, or the nearest slices of a localizer."""
    volume = next((image for image in scout if image.pixels.shape[1] > 1), None)
    found = []
    for name, plane in STANDARD.items():
        if volume is not None:
            count = round(2 * REACH_MM / STEP_MM)
            fov = (2 * REACH_MM, 2 * REACH_MM, STEP_MM)
            x, y, z = (float(mm) for mm in middle_mm)
            grid = Grid((count, count, 1), fov, (x, y, z), plane.read_dir, plane.phase_dir, plane.slice_dir)
            found.append(View(name, _through(volume, grid), grid))
            continue
        alike = [image for image in scout if abs(np.dot(image.header["slice_dir"], plane.slice_dir)) > 0.9]
        if alike:
            away = [
                abs(float((np.array(middle_mm) - one.header["position"]) @ one.header["slice_dir"])) for one in alike
            ]
            nearest = alike[int(np.argmin(away))]
            found.append(View(name, np.abs(nearest.pixels[0, 0]).astype(np.float32), grid_of(nearest.header)))
    return found


def _through(volume: Image, grid: Grid) -> NDArray[np.float32]:
    """Values (row, column) of a volume on a plane."""
    columns, rows, _ = grid.matrix
    index = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), [0.0], indexing="ij"), axis=-1)[:, :, 0]
    at = pixel_from_lps(grid_of(volume.header), lps_from_pixel(grid, index.swapaxes(0, 1)))
    values = np.abs(volume.pixels[0]).astype(np.float32)
    return ndimage.map_coordinates(values, np.moveaxis(at[..., ::-1], -1, 0), order=1, output=np.float32)


def cut(stack: Stack, view: Grid) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Where each slice of a stack meets the plane of a view: its number and both ends (2, 3) in LPS mm.

    Slices that are parallel to the view, or whose field of view does not reach it, have no such line.
    """
    normal, middle = np.array(view.slice_dir), np.array(view.position_mm)
    read, phase = np.array(stack.read_dir), np.array(stack.phase_dir)
    halves = np.array(stack.field_of_view_mm) / 2
    slope = np.array((read @ normal, phase @ normal))
    if np.abs(slope).max() < PARALLEL:
        return
    for number, centre in enumerate(centres_mm(stack)):
        away = float((centre - middle) @ normal)
        ends = []
        for fixed, free in ((0, 1), (1, 0)):
            for edge in (-halves[fixed], halves[fixed]):
                if abs(slope[free]) > PARALLEL:
                    at = -(away + slope[fixed] * edge) / slope[free]
                    if abs(at) <= halves[free]:
                        ends.append(edge * (read, phase)[fixed] + at * (read, phase)[free])
        if len(ends) >= 2:
            far = max(((a, b) for a in ends for b in ends), key=lambda pair: float(np.linalg.norm(pair[0] - pair[1])))
            yield number, centre + np.array(far)


def overlay(scout: Sequence[Image], stack: Stack, truth: Stack | None = None, title: str = "") -> bytes:
    """PNG of three views with the slices of a stack in yellow, its field of view too, and the truth dashed in cyan."""
    from matplotlib.figure import Figure

    shown = views(scout, stack.centre_mm)
    figure = Figure(figsize=(4.0 * len(shown), 4.4), layout="constrained", facecolor="black")
    for number, view in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), number + 1)
        axes.imshow(view.pixels, cmap="gray", vmin=0, vmax=float(np.percentile(view.pixels, 95)) or 1.0,
                    aspect=float(view.grid.spacing_mm()[1] / view.grid.spacing_mm()[0]))  # fmt: skip
        axes.set_autoscale_on(False)
        axes.set_title(view.name, color="white")
        axes.set_axis_off()
        draw(axes, view, stack, "#ffd54a", "-")
        if truth is not None:
            draw(axes, view, truth, "#26c6da", "--")
    if title:
        figure.suptitle(title, color="white")
    store = BytesIO()
    figure.savefig(store, format="png", dpi=80)
    return store.getvalue()


def draw(axes: "Axes", view: View, stack: Stack, colour: str, style: str) -> None:
    """Draw every slice that meets a view as a line; where they are as good as parallel to it, their outline."""
    lines = list(cut(stack, view.grid))
    if abs(np.dot(stack.slice_dir, view.grid.slice_dir)) > 0.9:
        lines = []
        signs = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))) / 2
        plane = np.array((stack.read_dir, stack.phase_dir))
        corners = np.array(stack.centre_mm) + (signs * np.array(stack.field_of_view_mm)) @ plane
        axes.plot(*view.on_picture(corners).T, style, color=colour, linewidth=1.0)
    truth = style != "-"
    for number, ends in lines:
        if truth and number not in (0, stack.slices // 2, stack.slices - 1):
            continue
        axes.plot(*view.on_picture(ends).T, style, color=colour, linewidth=1.2 if truth else 0.6)
