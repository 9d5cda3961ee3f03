"""A scan whose image is known, and networks in a few lines of NumPy that do as they are told."""

from typing import NamedTuple

import numpy as np

from engines.linear.calibration import Calibration, learn
from engines.unrolled.problem import apply_inverse, as_planes
from engines.unrolled.strength import level_of
from tests.engines.coils import head, hybrid_space, noise_like, unit_maps

LINES, COILS, SNR, STRENGTH, CALIBRATION = 96, 8, 30, 30.0, 24


class Scene(NamedTuple):
    frame: np.ndarray  # (coil, line, x)
    acquired: np.ndarray  # (line,)
    calibration: Calibration
    target: np.ndarray  # (y, x) what the maps say of the noise-free image


def every(step, *, calibration=CALIBRATION, lines=LINES):
    mask = np.zeros(lines, np.bool_)
    mask[lines // 2 % step :: step] = True
    mask[lines // 2 - calibration // 2 : lines // 2 + calibration // 2] = True
    return mask


def subject(snr=SNR):
    image = head(LINES, LINES)
    return (image / np.median(np.abs(image[np.abs(image) > 0.05])) * snr).astype(np.complex64)


def sampled(images, acquired, seed=1):
    """A frame of coil images (coil, y, x) with noise of sigma 1."""
    full = hybrid_space(images)
    return ((full + noise_like(full.shape, seed)) * acquired[:, None]).astype(np.complex64)


def calibrated(frame, acquired, regularisation=0.001):
    block = slice(LINES // 2 - CALIBRATION // 2, LINES // 2 + CALIBRATION // 2)
    return learn(frame[:, block], block.start, acquired, "walsh", regularisation)


def make_scene(acquired, image=None, coils=None):
    """A frame, what is learned from its own middle lines, and the image that can be made of it at best."""
    coils = unit_maps(COILS, LINES, LINES) if coils is None else coils
    images = coils * (subject() if image is None else image)
    frame = sampled(images, acquired)
    calibration = calibrated(sampled(images, every(1), seed=2), acquired)
    return Scene(frame, acquired, calibration, (calibration.maps.conj() * images).sum(0) * calibration.inside)


def strength_of(calibration, used, regularisation):
    """What makes a certain lambda of these calibration lines and the lines (line,) used, between its ends."""
    return regularisation**0.5 * level_of(calibration.lines, calibration.inside) / used.mean()


def says(prepared, pixels):
    """A network that gives an image (y, x), whatever the lines are."""
    planes = as_planes(prepared.box, np.ascontiguousarray(pixels[prepared.box.rows, prepared.box.columns]))
    return lambda _tensors: {"image": planes[None], "error": np.ones((1, 1, *planes.shape[1:]), np.float32)}


def shrinking(cascades=2, factor=0.8):
    """A network whose CNN makes its input smaller: (the whole graph, its cascades)."""

    def whole(tensors):
        normal, inverse, scan = tensors["normal"][0], tensors["inverse"], tensors["scan"]
        planes = apply_inverse(inverse, normal)
        for _ in range(cascades):
            planes = apply_inverse(inverse, normal + scan[0] ** 2 * np.float32(factor) * planes)
        return {"image": planes[None], "error": np.abs(planes[None, :1])}

    def part(tensors):
        assert tensors["hidden"].shape[1] == 3
        assert tensors["scan"].shape == (2,)
        rho = tensors["rho"]
        return {"denoised": np.float32(factor) * rho, "hidden_out": tensors["hidden"] + 1, "error": np.abs(rho[:, :1])}

    return whole, [part] * cascades
