"""From patient and coils to k-space: what the coils would receive if there were no noise."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hw_sim.coils import Array
from hw_sim.devices import AT_REST, Pose
from hw_sim.planes import Plane, points
from hw_sim.tissue import Contrast
from protocols.simulate import Simulate

__all__ = ["Patient", "Viewed", "centred_fft", "image_phase", "slab_kspace", "slice_image", "slice_kspace"]

FINE: Final = 2  # points per pixel and direction, so that the object is not made of the pixels we look for


class Patient(Protocol):
    """Whatever has a signal at every point."""

    @property
    def radius_mm(self) -> float:
        """Nothing lies farther from the isocentre along any axis."""

    def image(self, points_mm: NDArray[np.float64], weight: Contrast) -> NDArray[np.float32]:
        """Signal at points (..., 3), LPS mm."""


@dataclass(frozen=True, slots=True, eq=False)
class Viewed:
    """A slice on a fine grid that covers the whole patient."""

    signal: NDArray[np.complex64]  # (v, u)
    u_mm: NDArray[np.float64]
    v_mm: NDArray[np.float64]


def image_phase(points_mm: NDArray[np.float64], te_ms: float) -> NDArray[np.complex64]:
    """Smooth phase of main field and transmit field at points (..., 3), growing with the echo time."""
    x, y, z = np.moveaxis(points_mm / 100.0, -1, 0)
    field = 0.35 * x - 0.25 * y + 0.2 * z + 0.3 * x * y - 0.2 * (y**2 - 0.5 * x**2 - 0.5 * z**2)
    return np.exp(1j * (0.4 + field * (0.5 + 0.15 * te_ms))).astype(np.complex64)


def _axis_mm(pixels: int, fov_mm: float, turns: int) -> NDArray[np.float64]:
    count = pixels * turns
    return (np.arange(count, dtype=np.float64) - count // 2) * (fov_mm / pixels)


def slice_image(patient: Patient, plane: Plane, simulate: Simulate, weight: Contrast, pose: Pose = AT_REST) -> Viewed:
    """Look at a slice on a fine grid, averaged through its thickness."""
    nx, ny = (FINE * pixels for pixels in simulate.matrix)
    turns_x = _turns(patient.radius_mm, simulate.fov_mm[0])
    turns_y = _turns(patient.radius_mm + _off_mm(plane, plane.phase_dir, pose), simulate.fov_mm[1])
    u_mm, v_mm = _axis_mm(nx, simulate.fov_mm[0], turns_x), _axis_mm(ny, simulate.fov_mm[1], turns_y)
    layers = min(4, ceil(simulate.thickness_mm / 2))
    total = np.zeros((len(v_mm), len(u_mm)), np.float32)
    for through_mm in (np.arange(layers) + 0.5 - layers / 2) * simulate.thickness_mm / layers:
        total += patient.image(pose.to_patient(points(plane, u_mm, v_mm, through_mm)), weight)
    te_ms = simulate.te_ms if simulate.sequence == "gre" else 0.0
    signal = total / np.float32(layers) * image_phase(points(plane, u_mm, v_mm), te_ms)
    return Viewed(signal, u_mm, v_mm)


def _off_mm(plane: Plane, direction: tuple[float, float, float], pose: Pose) -> float:
    """How far the middle of the patient lies from that of a plane along a direction."""
    return abs(float(np.subtract(pose.shift_mm, plane.centre_mm) @ np.array(direction)))


def _turns(radius_mm: float, fov_mm: float) -> int:
    """Fields of view, an odd number, that hold a patient of this radius wherever the slice is centred nearby."""
    return 1 if 2 * radius_mm <= 1.08 * fov_mm else 2 * ceil((2.5 * radius_mm / fov_mm - 1) / 2) + 1


def centred_fft(data: NDArray[np.complex64], axes: tuple[int, ...] = (-2, -1)) -> NDArray[np.complex64]:
    """Orthonormal FFT with position and frequency zero at index n // 2."""
    shifted = fft.fftn(fft.ifftshift(data, axes), axes=axes, norm="ortho", overwrite_x=True)
    return fft.fftshift(shifted, axes)


def _central(data: NDArray[np.complex64], axis: int, count: int) -> NDArray[np.complex64]:
    first = data.shape[axis] // 2 - count // 2
    return np.take(data, np.arange(first, first + count), axis)


def slice_kspace(viewed: Viewed, plane: Plane, coils: Array, simulate: Simulate) -> NDArray[np.complex64]:
    """K-space (coil, line, sample) of a slice, all lines, readout oversampled.

    Scaled so that an orthonormal inverse FFT, cropped to the field of view, gives signal times sensitivity.
    What lies outside the field of view along phase folds in; along read the oversampled field of view decides.
    """
    return _encoded(viewed, coils.on_plane(plane, viewed.u_mm, viewed.v_mm), simulate)


def _encoded(viewed: Viewed, sensitivities: NDArray[np.complex64], simulate: Simulate) -> NDArray[np.complex64]:
    """K-space (coil, line, sample) of what coils of these sensitivities (coil, v, u) see."""
    ny, samples = simulate.matrix[1], simulate.matrix[0] * simulate.oversampling
    kspace = np.empty((len(sensitivities), ny, samples), np.complex64)
    for coil, sensitivity in enumerate(sensitivities):
        folded = _wrap((viewed.signal * sensitivity).T, ny * FINE)  # (u, v): the transformed axis is the fast one
        lines = _central(centred_fft(folded, (1,)), 1, ny).T
        readouts = centred_fft(_wrap(lines, samples * FINE), (1,))
        kspace[coil] = _central(readouts, 1, samples) / np.float32(FINE)
    return kspace


def slab_kspace(
    patient: Patient, plane: Plane, coils: Array, simulate: Simulate, weight: Contrast, pose: Pose = AT_REST
) -> NDArray[np.complex64]:
    """K-space (coil, partition, line, sample) of a slab in the middle of which the plane lies, as slice_kspace has it.

    Excitation is not selective: what lies outside the slab folds in along encode step 2, too.
    """
    count, fov_mm = FINE * simulate.partitions, simulate.partitions * simulate.thickness_mm
    reach_mm = patient.radius_mm + _off_mm(plane, plane.slice_dir, pose)
    through_mm = _axis_mm(count, fov_mm, _turns(reach_mm, fov_mm))
    layer = simulate.model_copy(update={"thickness_mm": fov_mm / count})
    middle, normal = np.array(plane.centre_mm), np.array(plane.slice_dir)
    viewed = []
    for mm in through_mm:
        x, y, z = (float(value) for value in middle + mm * normal)
        viewed.append(slice_image(patient, replace(plane, centre_mm=(x, y, z)), layer, weight, pose))
    kspace = np.zeros(
        (len(coils.gains), count, simulate.matrix[1], simulate.matrix[0] * simulate.oversampling), np.complex64
    )
    seen = coils.on_layers(plane, viewed[0].u_mm, viewed[0].v_mm, through_mm)
    for number, (slice_, sensitivities) in enumerate(zip(viewed, seen, strict=True)):
        if slice_.signal.any():
            kspace[:, number % count] += _encoded(slice_, sensitivities, simulate)
    spectra = (_central(centred_fft(one, (0,)), 0, simulate.partitions) for one in kspace)
    return np.stack([one / np.float32(FINE**0.5) for one in spectra])


def _wrap(data: NDArray[np.complex64], count: int) -> NDArray[np.complex64]:
    """Let the last axis repeat after `count` points around its middle: fold what is outside, pad what is missing."""
    have = data.shape[1]
    turns = 2 * ceil((have / count - 1) / 2) + 1
    padded = np.zeros((len(data), turns * count), np.complex64)
    first = turns * count // 2 - have // 2
    padded[:, first : first + have] = data
    return padded.reshape(len(data), turns, count).sum(axis=1) if turns > 1 else padded
