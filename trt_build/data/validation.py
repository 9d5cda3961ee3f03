"""The scans a training is judged by: fixed ones of the subjects nobody trained on, whole slices of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from engines.linear.errors import LinearError
from engines.linear.maps import bounding_box
from trt_build.data.errors import DataError
from trt_build.data.recipe import Recipe
from trt_build.data.scan import Scan, draw_scan
from trt_build.data.setup import TRIES, Setup, setup_of
from trt_build.data.volumes import Source

__all__ = ["validation_setups"]


def validation_setups(
    source: Source | None,
    recipe: Recipe,
    accelerations: Sequence[int] = (4, 8),
    seed: int = 2026,
    frames: int = 2,
    phantoms: int = 2,
) -> Iterator[Setup]:
    """Whole slices at each acceleration: one of each subject, then some phantoms; the same ones whenever asked.

    Equispaced lines with 24 calibration lines among them, 16 coils, SNR 15 to 40, half of the images of heads in the
    contrast of their volume, the others in synthetic ones. They are made as they are asked for: one holds 60 MB or so.
    """
    judged = replace(
        recipe,
        frames=frames,
        heads=1.0,
        phantoms=0.0,
        natural=0.5,
        grids=1.0,
        randoms=0.0,
        lines=(192, 256),
        calibration=(24, 24),
        coils=(16, 16),
        snr=(15.0, 40.0),
        espirit=1.0,
        withheld=0.0,
    )
    subjects = len(source.subjects) if source is not None else 0
    for acceleration in accelerations:
        at = replace(judged, acceleration=(acceleration, acceleration))
        for number in range(subjects):
            assert source is not None  # noqa: S101
            one = Source(source.files[number : number + 1], source.subjects[number : number + 1])
            yield _whole_slice(one, at, (seed, acceleration, number))
        for number in range(phantoms):
            yield _whole_slice(None, replace(at, heads=0.0, phantoms=1.0), (seed, acceleration, subjects + number))


def _whole_slice(source: Source | None, recipe: Recipe, seed: tuple[int, ...]) -> Setup:
    for attempt in range(TRIES):
        chance = np.random.default_rng([*seed, attempt])
        try:
            scan: Scan = draw_scan(source, recipe, chance)
            return setup_of(scan, recipe, chance, bounding_box(scan.calibration.inside))
        except LinearError:
            continue
    raise DataError(f"validation setup {seed}: {TRIES} scans showed no object; look at the volumes of this split")
