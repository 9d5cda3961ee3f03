"""A picture of scouts with the axial stack that was prescribed of them, and with the true one.

Heads of Colin27 and the MNI template are shown as the scout has them. The test subjects' faces could be recognised:
of them there is nothing but the outline of the brain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from engines.positioning.find import find
from engines.positioning.place import place
from engines.positioning.prescribe import prescribe
from engines.positioning.scout import Scout
from hw_sim.overlay import View, draw
from hw_sim.planes import STANDARD
from protocols.anatomy import find_anatomy
from protocols.geometry import Grid, lps_from_pixel
from protocols.stack import Stack
from trt_build.landmarks.judge import MAIN, Judged, judged, straightened
from trt_build.landmarks.positions import CASES, Options, finder, known_stranger, taken
from trt_build.landmarks.strangers import STRANGERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

__all__ = ["CAPTION", "Chosen", "chosen", "outlined", "overlays", "seen_in"]

CAPTION: Final = """
![Scouts with found and true stacks](overlays.png)

Outermost slices and middle of `brain_axial` as prescribed (yellow) and as they should lie (blue, dashed), with the
errors of the middle between AC and PC and of the head's axes. The test subjects' faces could be recognised, and are not
for public pages: of their scouts the outline of the brain is shown alone. Colin27 in three planes and in another
contrast was drawn for this picture and stands in no table. Colin27: Holmes et al., J Comput Assist Tomogr 1998; 22:324,
of Debian's mricron-data. MNI template: Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal
Neurological Institute, McGill University, with the notice in the README above.
"""
FOUND, TRUE = "#ffd54a", "#26c6da"
BESIDE: Final = {"three planes": 0, "any contrast": 1}  # scouts of a stranger that stand in no table
STEP_MM: Final = 1.5
REACH_MM: Final = 135.0  # of a view from its middle
BESIDE_MM: Final = 12.0  # by which a view may lie beside the stack's middle, where nothing was measured there
PANELS: Final = 2  # in a row


@dataclass(frozen=True, slots=True)
class Chosen:
    """A scout to be shown, and why."""

    why: str
    case: str
    number: int
    who: str = ""  # of STRANGERS, in place of a test subject


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A scout with its stacks."""

    title: str
    views: Sequence[View]
    brain_mm: NDArray[np.float64]  # (n, 3) of a head that may not be shown itself; of others none
    found: Stack
    true: Stack


def overlays(rows: Sequence[Judged], options: Options) -> bytes:
    """PNG of all scouts that are chosen, three views each; the found stack is drawn through, the true one dashed."""
    from matplotlib.figure import Figure

    panels = [panel for one in chosen(rows) if (panel := _panel(one, options)) is not None]
    height = -(-len(panels) // PANELS)
    figure = Figure((6.0 * PANELS, 2.4 * max(height, 1)), layout="constrained", facecolor="black")
    for panel, part in zip(panels, figure.subfigures(max(height, 1), PANELS, squeeze=False).flat, strict=False):
        _draw(part, panel)
    store = BytesIO()
    figure.savefig(store, format="png", dpi=72)
    return store.getvalue()


def chosen(rows: Sequence[Judged]) -> list[Chosen]:
    """The median and the worst accepted scout of each stranger and of the test heads, and one of each other kind."""
    made = [
        Chosen(why, name, row.number)
        for name in STRANGERS
        for why, row in _ends([row for row in rows if row.case == name])
    ]
    for name in STRANGERS[:1]:
        if known_stranger(name) is not None:
            made += [Chosen(name, case, number, name) for case, number in BESIDE.items()]
    tests = _ends([row for row in rows if row.case in CASES])
    return made + [Chosen(f"test heads, {why}", row.case, row.number) for why, row in tests]


def _ends(rows: Sequence[Judged]) -> list[tuple[str, Judged]]:
    """Of accepted scouts the median and the worst by millimetres; none of none."""
    accepted = sorted(
        (row for row in rows if row.status[MAIN] == "OK" and row.mm is not None), key=lambda row: row.mm or 0.0
    )
    return [("median", accepted[len(accepted) // 2]), ("worst accepted", accepted[-1])] if accepted else []


def _panel(one: Chosen, options: Options) -> Panel | None:
    """Take the scout again and prescribe MAIN; None where nothing is prescribed."""
    shot = taken(options.data, one.case, one.number, one.who)
    template, far_infer, near_infer = finder(options.model, options.allow_unsigned)
    anatomy = find_anatomy(template.anatomy)
    found = find(shot.scout, template, far_infer, near_infer)
    stack = prescribe(anatomy, MAIN, found, found.time_s).stack
    if stack is None or shot.truth is None:
        return None
    row = judged(one.case, "", shot.snr, anatomy, found, shot.truth)
    # The true head goes on below the scout, and its field of view with it: that of the found skin is drawn for both.
    surfaces = {**shot.truth.surfaces, "head": np.array(found.surfaces["head"])}
    true = place(anatomy, MAIN, straightened(anatomy, shot.truth), surfaces)
    title = f"{one.case}, {one.why}: {row.mm or 0:.1f} mm, {row.deg or 0:.1f} deg ({row.status[MAIN]})"
    shown = one.who or one.case in STRANGERS
    views = seen_in(shot.scout, stack.centre_mm)
    return Panel(title, views, np.empty((0, 3)) if shown else shot.truth.surfaces["brain"], stack, true)


def seen_in(scout: Scout, middle_mm: Sequence[float]) -> list[View]:
    """Axial, sagittal and coronal view of a scout, through a place or, where it has nothing there, just beside."""
    found = []
    count = round(2 * REACH_MM / STEP_MM)
    for name, plane in STANDARD.items():
        away = sorted(np.arange(-BESIDE_MM, BESIDE_MM + STEP_MM, STEP_MM).tolist(), key=abs)
        made = []
        for mm in away:
            x, y, z = (np.array(middle_mm) + mm * np.array(plane.slice_dir)).tolist()
            fov = (2 * REACH_MM, 2 * REACH_MM, STEP_MM)
            grid = Grid((count, count, 1), fov, (x, y, z), plane.read_dir, plane.phase_dir, plane.slice_dir)
            pixels = _through(scout, grid)
            made.append(View(name, pixels, grid))
        known = [int(np.isfinite(view.pixels).sum()) for view in made]
        found.append(next(view for view, here in zip(made, known, strict=True) if here >= 0.95 * max(known)))
    return found


def _through(scout: Scout, grid: Grid) -> NDArray[np.float32]:
    """Values (row, column) of a scout on a plane; NaN where it was not measured."""
    columns, rows, _ = grid.matrix
    index = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), [0.0], indexing="xy"), axis=-1)[:, :, 0]
    inverse = np.linalg.inv(scout.affine)
    at = lps_from_pixel(grid, index) @ inverse[:3, :3].T + inverse[:3, 3]
    order = 1 if np.isfinite(scout.pixels).all() else 0
    return ndimage.map_coordinates(scout.pixels, np.moveaxis(at[..., ::-1], -1, 0), np.float32, order, cval=np.nan)


def _draw(part: "SubFigure", panel: Panel) -> None:
    part.suptitle(panel.title, color="white", fontsize=9)
    for axes, view in zip(part.subplots(1, len(panel.views)), panel.views, strict=True):
        _show(axes, view, panel.brain_mm)
        axes.set_autoscale_on(False)
        axes.set_axis_off()
        draw(axes, view, outlined(panel.found), FOUND, "-")
        draw(axes, view, outlined(panel.true), TRUE, "--")


def outlined(stack: Stack) -> Stack:
    """The outermost slices and the middle of a stack, as three: all of them would hide the head."""
    reach_mm = stack.step_mm * (stack.slices - 1) / 2
    return stack.model_copy(update={"slices": 3, "gap_mm": reach_mm - stack.thickness_mm})


def _show(axes: "Axes", view: View, brain_mm: NDArray[np.float64]) -> None:
    """What a scout has there, or the outline of a brain on black."""
    pixels = np.zeros_like(view.pixels) if len(brain_mm) else np.nan_to_num(view.pixels)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=float(np.percentile(pixels, 96)) or 1.0)
    if len(brain_mm):
        flat = view.on_picture(brain_mm)
        axes.fill(*flat[ConvexHull(flat).vertices].T, color="#444444")
