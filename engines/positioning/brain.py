"""Where a scout shows brain: the mean head laid upon it, from where the slices of a plan lie."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.card import parse_card
from engines.errors import ModelError
from engines.model import CARD, load_model, shipped
from engines.positioning.follow_up import between
from engines.positioning.grid import Sheet
from engines.positioning.laid import Laid, laid
from engines.positioning.place import place
from engines.positioning.pose import Pose
from engines.positioning.template import Template, template_of
from protocols.anatomy import find_anatomy
from protocols.stack import Stack

__all__ = ["brain_in", "template_for"]

TASK: Final = "landmarks"
SIZES: Final = (0.9, 1.0, 1.1)  # of the mean, from which it is laid: 0.9 finds heads of 0.84 to 1.0
ALIKE: Final = (
    0.6  # likeness below which the mean was laid upon nothing; of 12 heads at least 0.78, astray at most 0.49
)
MOST: Final = 0.5  # share of brain from which on it is brain


@lru_cache(maxsize=4)
def template_for(anatomy: str) -> Template | None:
    """What a shipped model knows of a body; None where there is none for it."""
    for folder in shipped().values():
        try:
            if parse_card((folder / CARD).read_text(), str(folder)).task == TASK:
                template = template_of(load_model(folder))
                if template.anatomy == anatomy:
                    return template
        except (ModelError, OSError):
            continue
    return None


def brain_in(sheet: Sheet, template: Template | None, plan: str, stack: Stack) -> NDArray[np.bool_] | None:
    """Voxels (z, y, x) of a scout that show brain, by where a plan asks for slices; None where no such head is there.

    The stack may lie 15 mm and 15 degrees off where the plan has it on the mean head.
    """
    if template is None:
        return None
    anatomy = find_anatomy(template.anatomy)
    if plan not in anatomy.plans:
        return None
    points = {template.names[number]: template.laid_mm[number] for number in template.landmarks()}
    skin = template.mean.skin_mm
    surfaces = {name: template.laid_mm[list(ends)] for name, ends in template.ends.items()}
    there = place(anatomy, plan, points, {**surfaces, "head": skin[skin[:, 2] > template.lowest_mm]})
    turn = between(there, stack).turn
    for size in SIZES:
        shift = np.array(stack.centre_mm) - size * turn @ np.array(there.centre_mm)
        lies = laid(sheet, template.mean, Pose(turn, size, shift))
        if lies is not None and lies.likeness >= ALIKE:
            return _covered(sheet, lies)
    return None


def _covered(sheet: Sheet, lies: Laid) -> NDArray[np.bool_]:
    mean = lies.mean
    index = np.moveaxis(np.indices(sheet.pixels.shape)[::-1], 0, -1)
    places = index @ sheet.affine[:3, :3].T + sheet.affine[:3, 3]
    voxels = lies.unbent(places) @ mean.inverse[:3, :3].T + mean.inverse[:3, 3]
    return np.asarray(ndimage.map_coordinates(mean.share, np.moveaxis(voxels, -1, 0)[::-1], order=1) > MOST)
