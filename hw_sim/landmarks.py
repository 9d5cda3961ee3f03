"""Where landmarks of a simulated head lie: the truth that a scout is to show."""

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.devices import AT_REST, Pose
from hw_sim.head import Volume
from protocols.landmarks import Landmarks

__all__ = ["MNI_MM", "head_landmarks"]

# RAS mm in the symmetric MNI ICBM152 2009 template, means of several raters: Lau et al., Hum Brain Mapp 2019; 40:4163,
# anatomical fiducials 1, 2, 19, 20, 5, 4, 26, 25, 28, 27. The template has no eyes and no visible chiasm.
MNI_MM: Final = {
    "ac": (-0.1, 2.6, -4.8),
    "pc": (0.1, -25.1, -2.1),
    "genu": (0.0, 33.4, 2.5),
    "splenium": (0.1, -37.6, 6.4),
    "fossa": (0.0, -14.4, -10.7),
    "pons": (0.0, -23.4, -21.9),
    "hippocampus_head_left": (-20.9, -4.6, -27.3),
    "hippocampus_head_right": (20.9, -4.4, -27.7),
    "hippocampus_tail_left": (-13.3, -43.3, 5.9),
    "hippocampus_tail_right": (13.7, -43.1, 5.9),
}
BRAIN: Final = frozenset({"grey", "white", "csf"})
HEAD: Final = BRAIN | {"bone", "muscle", "fat"}


def head_landmarks(volume: Volume, position: str, pose: Pose = AT_REST, measurement_id: str = "truth") -> Landmarks:
    """Landmarks and surfaces of the MNI head in a pose, LPS mm from the isocentre."""
    at_rest = {name: np.array((-x, -y, z)) + volume.origin_mm for name, (x, y, z) in MNI_MM.items()}
    # The brain's hull lies within rings of CSF, which are tissue of it too: only grey and white matter bound it.
    hulls = {"brain": volume.surface_mm({"grey", "white"}), "head": volume.surface_mm(HEAD)}
    return Landmarks(
        anatomy="head",
        patient_position=position,
        measurement_id=measurement_id,
        time_s=time.time(),
        landmarks={name: _vector(pose.from_patient(place)) for name, place in at_rest.items()},
        surfaces={name: tuple(map(_vector, pose.from_patient(points))) for name, points in hulls.items()},
    )


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
