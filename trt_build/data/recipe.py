"""What the scans of a training set look like: every range in one place."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from trt_build.data.errors import DataError

__all__ = ["Recipe", "Supervision"]

Supervision: TypeAlias = Literal["supervised", "ssdu", "noise2noise"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Ranges that scans are drawn from, all ends included; lengths in mm, SNR as tissue mean over noise."""

    frames: int = 8  # images that share anatomy, coils, mask and inverse
    strength: float = 15.0  # of the consistent step, see engines/unrolled/strength.py
    supervision: Supervision = "supervised"
    heads: float = 0.6  # share of setups; the rest of phantoms and heads are textures
    phantoms: float = 0.3
    natural: float = 0.35  # share of images of heads that keep the contrast of the volume
    sharpened: float = 0.0  # share of slices of heads with less blur than the volume has
    grids: float = 0.5  # share of setups with equispaced lines and calibration lines among them
    randoms: float = 0.3  # share with random lines; the others have a grid, calibration lines came before
    fov_mm: tuple[float, float] = (205.0, 265.0)
    resolution_mm: tuple[float, float] = (0.75, 2.1)
    lines: tuple[int, int] = (96, 288)
    strip: tuple[int, int] = (64, 96)  # columns, multiples of 8
    acceleration: tuple[float, float] = (2.0, 8.0)
    calibration: tuple[int, int] = (16, 32)
    coils: tuple[int, int] = (4, 32)
    virtual_coils: int = 16  # more loops than that are compressed
    snr: tuple[float, float] = (5.0, 100.0)  # of a scan
    brighter: float = 1.4  # images of one scan differ from its SNR by up to this factor
    espirit: float = 0.7  # share of setups; the others have Walsh's maps
    with_kspace: bool = False  # keep the acquired lines of all coils in the setup, for networks that want them
    withheld: float = 0.3  # share of setups with a few lines left out of a mask, as the trust figure leaves them out

    def __post_init__(self) -> None:
        if self.frames < 1 or self.strength <= 0:
            raise DataError(
                f"recipe: got frames {self.frames} and strength {self.strength}, "
                f"wanted one frame or more and a positive number"
            )
        for shares in ((self.heads, self.phantoms), (self.grids, self.randoms)):
            if min(shares) < 0 or sum(shares) > 1:
                raise DataError(f"recipe: got shares {shares}, wanted none below 0 and at most 1 together")
        if any(columns % 8 or columns < 8 for columns in self.strip) or self.strip[0] > self.strip[1]:
            raise DataError(f"recipe: got strips of {self.strip} columns, wanted two multiples of 8, smaller one first")
