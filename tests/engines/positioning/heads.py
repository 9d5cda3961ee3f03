"""A head of known landmarks, in any pose."""

import numpy as np

from protocols.geometry import rotation_of
from protocols.landmarks import Landmarks

# LPS mm; an ideal head whose axes are those of the patient.
IDEAL = {
    "ac": (0, 0, 0),
    "pc": (0, 26, 0),
    "genu": (0, -31, 7),
    "splenium": (0, 40, 9),
    "fossa": (0, 17, -8),
    "pons": (0, 26, -18),
    "hippocampus_head_left": (22, 8, -22),
    "hippocampus_head_right": (-22, 8, -22),
    "hippocampus_tail_left": (14, 44, 10),
    "hippocampus_tail_right": (-14, 44, 10),
    "eye_left": (32, -62, -30),
    "eye_right": (-32, -62, -30),
    "chiasm": (0, -2, -14),
}
NOW_S = 1_000_000.0


def ellipsoid(centre, semi_axes, count=400):
    """Points all over an ellipsoid."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - 5**0.5) * np.arange(count)
    ball = np.column_stack((np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z))
    return np.array(centre) + ball * semi_axes


SURFACES = {"brain": ellipsoid((0, 18, 12), (68, 86, 66)), "head": ellipsoid((0, 12, 2), (78, 104, 112))}


def posed(quaternion=(0, 0, 0, 1), shift_mm=(0, 0, 0), **changes):
    """Landmarks of the ideal head, turned about the isocentre and then shifted."""
    turn, shift = rotation_of(quaternion), np.array(shift_mm, float)
    given = {
        "anatomy": "head",
        "patient_position": "HFS",
        "measurement_id": "scout_1",
        "time_s": NOW_S - 60,
        "landmarks": {name: tuple(turn @ place + shift) for name, place in IDEAL.items()},
        "surfaces": {name: [tuple(p) for p in points @ turn.T + shift] for name, points in SURFACES.items()},
    }
    return Landmarks(**{**given, **changes})


def without(found, *names):
    """The same without some landmarks or surfaces."""
    return found.model_copy(
        update={
            "landmarks": {name: place for name, place in found.landmarks.items() if name not in names},
            "surfaces": {name: points for name, points in found.surfaces.items() if name not in names},
        }
    )


def with_places(found, **places):
    """The same with some landmarks elsewhere."""
    return found.model_copy(update={"landmarks": {**found.landmarks, **places}})
