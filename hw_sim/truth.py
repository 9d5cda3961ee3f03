"""Where slices of the simulated head should lie: what a perfect reader of its scout would prescribe."""

from types import MappingProxyType
from typing import Final

import numpy as np

from hw_sim.devices import Pose, carried
from protocols.stack import Stack

__all__ = ["MNI_AT_REST", "true_stack"]

# From the landmarks of landmarks.py by the rules of protocols/anatomies/head.toml; a test compares them.
MNI_AT_REST: Final = MappingProxyType(
    {
        "brain_axial": Stack(
            centre_mm=(-0.0160, -1.2473, -0.4407),
            read_dir=(0.9999916335, 0.0019364446, 0.0036032149),
            phase_dir=(-0.0022769396, 0.9952789008, 0.0970295070),
            slice_dir=(-0.0033983116, -0.0970368995, 0.9952749829),
            field_of_view_mm=(187.0, 222.0),
            thickness_mm=4.0,
            gap_mm=1.0,
            slices=32,
        ),
        "midline_sagittal": Stack(
            centre_mm=(-0.0558, -1.1413, -1.5284),
            read_dir=(-0.0033983116, -0.0970368995, 0.9952749829),
            phase_dir=(-0.0022769396, 0.9952789008, 0.0970295070),
            slice_dir=(-0.9999916335, -0.0019364446, -0.0036032149),
            field_of_view_mm=(197.0, 222.0),
            thickness_mm=4.0,
            gap_mm=1.0,
            slices=29,
        ),
        "hippocampus_coronal": Stack(
            centre_mm=(0.0051, -1.8168, -5.9943),
            read_dir=(-0.0014625716, -0.6533688153, 0.7570383425),
            phase_dir=(0.9999916335, 0.0019364446, 0.0036032149),
            slice_dir=(-0.0038201911, 0.7570372787, 0.6533605167),
            field_of_view_mm=(208.0, 187.0),
            thickness_mm=3.0,
            gap_mm=0.3,
            slices=21,
        ),
    }
)


def true_stack(body: str, plan: str, pose: Pose, table_mm: float = 0.0, position: str = "HFS") -> Stack | None:
    """The stack of a plan for a patient in a pose, on a table that stands so far in the bore; None: it is not known."""
    still = MNI_AT_REST.get(plan) if body == "mni" else None
    if still is None:
        return None
    there = carried(pose, table_mm, position)
    turned = Pose(turn_deg=pose.turn_deg).from_patient(still.axes().T)
    centre = there.from_patient(np.array(still.centre_mm)) + np.array((0.0, 0.0, there.table_mm))
    read, phase, slice_ = (tuple(row) for row in turned.tolist())
    moved = {"centre_mm": tuple(centre.tolist()), "read_dir": read, "phase_dir": phase, "slice_dir": slice_}
    return still.model_copy(update=moved)
