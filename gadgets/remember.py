"""remember: keep the volume of a scout, or its slices, for the scans that follow."""

import time
from collections.abc import Iterator
from typing import Final

import numpy as np

from engines.positioning.crossing import Slices
from engines.positioning.gather import Slab
from engines.positioning.scout import Scout
from gadgets.context import Context
from gadgets.image_verdict import series_of
from gadgets.subjects import note_subject
from protocols.errors import PeerError
from protocols.geometry import grid_of, lps_from_pixel
from protocols.messages import Image, Message
from protocols.stream import Node

__all__ = ["remember"]

MOST: Final = 48  # slices of a scan that are kept


def remember(context: Context) -> Node:
    """Keep every volume of a scan by its measurement id, the last one stays; of a scan of slices the last of each.

    Scans that are prescribed from it are compared with it: `placed` says when the patient has moved in between. The
    last volume of a patient position is kept by that, too: `wrap` says where a field of view is too small for the head.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        slabs: dict[int, Slab] = {}
        for message in messages:
            yield message
            if not isinstance(message, Image) or series_of(message):
                continue
            if message.pixels.shape[1] > 1:
                _keep(message, context)
            else:
                _gather(message, slabs)
        if slabs and context.scan.measurement_id:  # a prescription names no other
            note_subject(context)
            context.memory.slices.put((context.scan.measurement_id,), Slices(tuple(slabs.values())))

    return node


def _gather(image: Image, slabs: dict[int, Slab]) -> None:
    """Put a slice to the others, in place, unless there are too many or nobody knows where it lies."""
    idx = image.header
    number = int(idx["slice"])
    if idx["contrast"] or idx["set"] or (number not in slabs and len(slabs) >= MOST):
        return
    try:
        slabs[number] = np.abs(image.pixels[0]).astype(np.float32), grid_of(idx)
    except PeerError:
        return


def _keep(image: Image, context: Context) -> None:
    try:
        corner, *steps = lps_from_pixel(grid_of(image.header), np.eye(4, 3, -1))
    except PeerError:
        return
    affine = np.eye(4)
    affine[:3] = np.column_stack([step - corner for step in steps] + [corner])
    x, y, z = (float(mm) for mm in image.header["patient_table_position"])
    scout = Scout(
        pixels=np.abs(image.pixels[0]).astype(np.float32),
        affine=affine,
        noise=None,
        patient_position=context.scan.patient_position,
        table_position_mm=(x, y, z),
        measurement_id=context.scan.measurement_id,
        time_s=time.time(),
    )
    note_subject(context)
    context.memory.scouts.put((context.scan.measurement_id,), scout)
    context.memory.scouts.put((context.scan.patient_position,), scout)
