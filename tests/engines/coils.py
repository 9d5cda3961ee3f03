"""Loop coils by the law of Biot and Savart, a head of ellipses, and k-space made from both by the definition."""

import numpy as np

from engines.linear.noise import covariance

FOV_MM = 240.0


def loop_coils(count, height, width, radius_mm=135.0, loop_mm=45.0):
    """Sensitivities (coil, y, x) of loops on a cylinder round the head: Bx - i By in the plane through its middle."""
    y, x = np.meshgrid(
        (np.arange(height) - height // 2) * FOV_MM / height,
        (np.arange(width) - width // 2) * FOV_MM / width,
        indexing="ij",
    )
    here = np.stack([x, y, np.zeros_like(x)], -1)
    maps = np.empty((count, height, width), np.complex64)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for coil, angle in enumerate(2 * np.pi * np.arange(count) / count):
        ring = (coil % 2 - 0.5) * 40.0  # alternate rings, so that neighbours differ
        out = np.array([np.cos(angle), np.sin(angle), 0])
        side, up = np.array([-np.sin(angle), np.cos(angle), 0]), np.array([0, 0, 1.0])
        centre = radius_mm * out + ring * up
        wire = centre + loop_mm * (np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * up)
        tangent = loop_mm * (-np.sin(turn)[:, None] * side + np.cos(turn)[:, None] * up)
        field = np.zeros_like(here)
        for point, along in zip(wire, tangent, strict=True):
            gap = here - point
            field += np.cross(along, gap) / np.linalg.norm(gap, axis=-1, keepdims=True) ** 3
        maps[coil] = field[..., 0] - 1j * field[..., 1]
    return maps / np.abs(maps).max()


def unit_maps(count, height, width):
    """Loop coils normalised to sum |S|^2 = 1, with the phase of no coil in particular."""
    maps = loop_coils(count, height, width)
    return (maps / np.sqrt((np.abs(maps) ** 2).sum(0))).astype(np.complex64)


def head(height, width, seed=0):
    """A head (y, x): skull, brain, asymmetric lesions, and a smooth phase."""
    y, x = np.meshgrid(
        np.linspace(-1, 1, height, endpoint=False), np.linspace(-1, 1, width, endpoint=False), indexing="ij"
    )

    def ellipse(cy, cx, ry, rx, value):
        return value * (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1)

    image = ellipse(0, 0, 0.82, 0.68, 1.0) - ellipse(0, 0, 0.74, 0.6, 0.6) + ellipse(0.02, 0, 0.68, 0.55, 0.3)
    image += (
        ellipse(-0.1, 0.18, 0.25, 0.08, -0.3)
        + ellipse(-0.1, -0.16, 0.28, 0.09, -0.25)
        + ellipse(0.35, 0.2, 0.1, 0.14, 0.5)
    )
    rng = np.random.default_rng(seed)
    for cy, cx, size in rng.uniform([-0.5, -0.4, 0.02], [0.5, 0.4, 0.06], (12, 3)):
        image += ellipse(cy, cx, size, size * 1.4, 0.3)
    return (image * np.exp(1j * (0.7 * y - 0.5 * x + 0.4 * x * y))).astype(np.complex64)


def noise_like(shape, seed=1):
    """Complex white noise with E|n|^2 = 1."""
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)).astype(np.complex64)


def dft(length):
    """The centred orthonormal transform to k-space as a matrix, from its definition."""
    index = np.arange(length) - length // 2
    return np.exp(-2j * np.pi * np.outer(index, index) / length) / np.sqrt(length)


def hybrid_space(images):
    """(coil, y, x) images to (coil, ky, x) by the definition of the transform."""
    return np.einsum("ky,cyx->ckx", dft(images.shape[1]), images).astype(np.complex64)


def nrmse(got, wanted):
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def covariance_from_edges(hybrid):
    """Noise covariance of acquired lines (coil, line, x) that came without a noise scan, from air at high frequencies.

    The outer half of the lines in the outermost sixteenths of x. Signal there makes it too large, the roll-off of the
    receiver's filter too small, by the same factor for all coils.
    """
    _, lines, width = hybrid.shape
    edge, outer = max(1, width // 16), np.r_[0 : max(1, lines // 4), lines - max(1, lines // 4) : lines]
    sides = np.concatenate([hybrid[:, outer, :edge], hybrid[:, outer, width - edge :]], axis=2)
    return covariance(sides.reshape(len(hybrid), -1))
