"""When two messages say the same."""

from dataclasses import fields

import numpy as np


def same(one, other):
    """Equal in type and all that travels; arrays bit by bit."""
    if type(one) is not type(other):
        return False
    skipped = {"arrived_ns", "flags", "noise_std"}
    return all(
        _equal(getattr(one, part.name), getattr(other, part.name)) for part in fields(one) if part.name not in skipped
    )


def _equal(one, other):
    if not isinstance(one, np.ndarray | np.void):
        return one == other
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.names:  # field by field, as what lies between them means nothing
        return one.dtype == other.dtype and all(_equal(one[name], other[name]) for name in one.dtype.names)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
