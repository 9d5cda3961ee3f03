"""Landmarks by registration and by networks in one, and the directions of the body as the mean head lies."""

from concurrent.futures import Executor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.positioning.grid import Sheet
from engines.positioning.laid import Laid
from engines.positioning.pose import Pose, fitted
from engines.positioning.template import Template

__all__ = ["agreed", "aimed", "apart", "doubt", "kind_of", "settled", "straightened"]

ALIKE: Final = 0.6  # likeness below which nothing was found
WHOLE: Final = 0.9  # share of the brain from which on a scout shows it all; of less it tells in proportion
OWN: Final = 0.2  # correlation with the mean's own brightness from which on the contrast is that of T1
SLACK_MM: Final = 2.0  # by which a body differs from the mean one
NEAR_MM, NEAR_DEG = 12.0, 12.0  # within which registration must have stayed of what the networks say
BENT: Final = (0.0, 0.5, 0.5)  # share of the way to the bent landmarks that directions are turned about L, P, S
ALONE: Final = (1.0, 0.5, 0.5)  # share of the way from there to the brain alone
FARTHEST_DEG: Final = 6.0  # that the brain alone may be turned by
Array = NDArray[np.float64]


def agreed(template: Template, lies: Laid | None, pose: Pose) -> bool:
    """Whether registration found a body that looks like the mean one, and where the networks saw it."""
    from scipy.spatial.transform import (
        Rotation,  # a tenth of a second, which the start of the plugin should not wait for
    )

    if lies is None or not lies.likeness >= ALIKE:
        return False
    middle = template.places_mm[list(template.landmarks())].mean(axis=0)
    off_mm = np.linalg.norm(lies.posed.to_scanner(middle) - pose.to_scanner(middle))
    apart = Rotation.from_matrix(lies.posed.turn @ pose.turn.T).magnitude()
    return bool(off_mm <= NEAR_MM and np.rad2deg(apart) <= NEAR_DEG)


def kind_of(lies: Laid) -> str:
    """Which of the template's doubts a scout has: of "part" of a brain, "alike" the mean in contrast, or "unlike"."""
    if lies.measured < WHOLE:
        return "part"
    return "alike" if lies.contrast >= OWN else "unlike"


def apart(template: Template, lies: Laid, found_mm: Array, present: Array) -> float:
    """How far registration and networks lie apart, root mean square over the landmarks that are there, by errors."""
    marks = [n for n in template.landmarks() if present[n] >= template.present]
    off = (lies.to_scanner(template.laid_mm) - found_mm)[marks] / lies.posed.scale
    variances = np.diag(template.errors_mm2).reshape(-1, 3).sum(axis=1)[marks]
    return float(np.sqrt(((off**2).sum(axis=1) / variances).mean())) if marks else 0.0


def doubt(template: Template, lies: Laid, found_mm: Array, present: Array) -> float:
    """By what errors are larger than of the scouts that the template knows best: two ways that differ both err more."""
    power, factor = template.doubts.get(kind_of(lies), (0.0, 1.0))
    return factor * max(apart(template, lies, found_mm, present), 1.0) ** power


def settled(template: Template, lies: Laid, aims: Pose, found_mm: Array, present: Array) -> tuple[Array, Array]:
    """Places (name, 3) and the covariance (3 name, 3 name) of their errors, of places that networks found.

    Single landmarks are known to half a millimetre, which for a line of 28 mm is two degrees: the plane of symmetry and
    the template's line are turned as `aims` is, only their places are the landmarks' own.
    """
    share = np.where(present >= template.present, template.trust, 1.0)[:, None]
    places = share * lies.to_scanner(template.laid_mm) + (1 - share) * found_mm
    turned = np.kron(np.eye(len(places)), lies.posed.scale * lies.posed.turn)
    errors = template.errors_mm2 / min(1.0, max(lies.measured, 0.1) / WHOLE)
    errors = errors * doubt(template, lies, found_mm, present) ** 2
    return straightened(template, aims, places), turned @ errors @ turned.T


def aimed(template: Template, sheet: Sheet, lies: Laid, helpers: Executor | None = None) -> Pose:
    """The pose turned as the brain alone is, where a scout shows it all as T1 does; one of `helpers` helps.

    About P and S, and elsewhere, part of the way to the landmarks, as bent, which registration is trusted with.
    """
    from scipy.spatial.transform import (
        Rotation,  # a tenth of a second, which the start of the plugin should not wait for
    )

    marks = [n for n in template.landmarks() if template.trust[n] >= 0.5]
    bent = fitted(template.laid_mm[marks], lies.to_scanner(template.laid_mm[marks]), np.ones(len(marks)), SLACK_MM)
    posed = lies.posed
    apart = Rotation.from_matrix(posed.turn.T @ bent.turn).as_rotvec()
    part = np.array(BENT) * apart
    if template.stripper is not None and kind_of(lies) == "alike":
        brain = template.stripper.part(sheet, lies, helpers)
        alone = Rotation.from_matrix(template.stripper.turn(brain, helpers)).as_rotvec()
        if np.rad2deg(np.linalg.norm(alone)) <= FARTHEST_DEG:
            part = part + np.array(ALONE) * (alone - part)
    return Pose(posed.turn @ Rotation.from_rotvec(part).as_matrix(), posed.scale, posed.shift_mm)


def straightened(template: Template, posed: Pose, places_mm: Array) -> Array:
    """Places (name, 3) whose plane of symmetry and whose line have the directions of a pose, each moved the least."""
    apart = posed.to_template(places_mm) - template.laid_mm
    plane, line = list(template.plane), list(template.line)
    apart[plane, 0] = apart[plane, 0].mean()
    along = template.laid_mm[line[1]] - template.laid_mm[line[0]]
    along = along / np.linalg.norm(along)
    own = (apart[line] @ along)[:, None] * along
    apart[line] = own + (apart[line] - own).mean(axis=0)
    return posed.to_scanner(template.laid_mm + apart)
