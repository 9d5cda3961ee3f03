"""The [simulate] table of a scan protocol: the sequence that hw_sim plays."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocols.errors import PeerError
from protocols.geometry import Handedness, handedness

__all__ = ["Directions", "Oblique", "Simulate"]

Vector = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    """A frozen table; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Oblique(_Table):
    """A plane that is none of the three standard ones."""

    normal: Annotated[Vector, Field(description="slice direction in LPS, any length")]
    rotation_deg: Annotated[float, Field(description="turn of read and phase about the normal")] = 0.0

    @model_validator(mode="after")
    def _has_a_length(self) -> "Oblique":
        if not any(self.normal):
            raise ValueError("normal: got (0, 0, 0), wanted a direction, for example [0.0, 0.2, 1.0]")
        return self


class Directions(_Table):
    """A plane as a prescription names it: right-handed unit vectors in LPS."""

    read: Vector
    phase: Vector
    slice: Vector

    @model_validator(mode="after")
    def _is_right_handed(self) -> "Directions":
        try:
            hand = handedness(np.array(self.read), np.array(self.phase), np.array(self.slice))
        except PeerError as error:
            raise ValueError(str(error)) from None
        if hand is not Handedness.RIGHT:
            raise ValueError(f"read, phase and slice are {hand.value}, wanted right-handed directions")
        return self


class Simulate(_Table):
    """One Cartesian scan as the simulated scanner plays it; lengths in mm, times in ms."""

    sequence: Annotated[Literal["gre", "se"], Field(description="spoiled gradient echo or spin echo")] = "gre"
    matrix: Annotated[tuple[int, int], Field(description="read, phase pixels of the image")] = (256, 256)
    fov_mm: Annotated[tuple[Positive, Positive], Field(description="along read, phase")] = (240.0, 240.0)
    slices: Annotated[Count, Field(description="slices of the stack (per plane of a three-plane scout)")] = 1
    thickness_mm: Annotated[float, Field(gt=0, description="of a slice, or of a partition")] = 5.0
    partitions: Annotated[
        int, Field(ge=1, le=512, description="3-D: so many partitions along encode step 2, side by side; 1: 2-D")
    ] = 1
    gap_mm: Annotated[float, Field(ge=0, description="between neighbouring slices")] = 0.0
    orientation: Annotated[
        Literal["axial", "sagittal", "coronal"] | Oblique | Directions,
        Field(description="plane, or {normal, rotation_deg}, or {read, phase, slice}"),
    ] = "axial"
    centre_mm: Annotated[Vector, Field(description="middle of the stack, LPS from the isocentre")] = (0.0, 0.0, 0.0)
    three_plane: Annotated[bool, Field(description="scout: the stack once axial, sagittal and coronal")] = False
    interleaved: Annotated[bool, Field(description="one line of every slice in turn, not slice by slice")] = False
    tr_ms: Annotated[float, Field(gt=0, description="spacing of readouts: what the sender is paced to")] = 5.0
    repetition_ms: Annotated[
        float | None, Field(gt=0, description="TR of the contrast equation; absent: time between shots of one slice")
    ] = None
    te_ms: Positive = 2.5
    flip_deg: Annotated[float, Field(gt=0, le=180)] = 15.0
    fat_saturation: Annotated[bool, Field(description="a saturation pulse leaves a tenth of the fat's signal")] = False
    bandwidth_hz_per_pixel: Positive = 300.0
    oversampling: Annotated[Literal[1, 2], Field(description="readout samples per pixel")] = 2
    acceleration: Annotated[int, Field(ge=1, le=8, description="every n-th line")] = 1
    calibration: Annotated[
        Literal["none", "embedded", "separate"], Field(description="where calibration lines come from")
    ] = "none"
    calibration_lines: Annotated[int, Field(ge=4, description="full lines around the centre of k-space")] = 24
    partial_fourier: Annotated[float, Field(gt=0.5, le=1, description="fraction of phase-encode lines")] = 1.0
    echo_fraction: Annotated[float, Field(gt=0.5, le=1, description="fraction of the readout; < 1: early echo")] = 1.0
    averages: Count = 1
    repetitions: Count = 1
    snr: Annotated[
        float | None,
        Field(gt=0, description="median over the object, fully sampled, best combination; absent: no noise"),
    ] = 60.0
    noise_readouts: Annotated[int, Field(ge=0, description="noise-only readouts sent first")] = 16
    navigator_every: Annotated[
        int, Field(ge=0, description="line k = 0 of the middle slice before every n-th imaging readout; 0: never")
    ] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> "Simulate":
        if min(self.matrix) < 8 or max(self.matrix) > 1024 or any(n % 2 for n in self.matrix):
            raise ValueError(f"matrix: got {list(self.matrix)}, wanted two even numbers from 8 to 1024")
        if self.calibration != "none" and self.calibration_lines > self.matrix[1]:
            raise ValueError(
                f"calibration_lines: got {self.calibration_lines}, wanted at most matrix[1] = {self.matrix[1]}"
            )
        stacked = self.slices > 1 or self.three_plane or self.interleaved
        if self.partitions > 1 and (self.partitions % 2 or stacked):
            raise ValueError(
                f"partitions: got {self.partitions}, wanted an even number, and then one slice, "
                "neither three_plane nor interleaved: a slab is measured as a whole"
            )
        if self.te_ms > (self.repetition_ms or self.te_ms):
            raise ValueError(f"te_ms: got {self.te_ms}, wanted less than repetition_ms = {self.repetition_ms}")
        return self
