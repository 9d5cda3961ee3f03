"""The mean of many bodies on a grid: what a registration compares a scout with, and how it may bend."""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_matrix

__all__ = ["Cloud", "Lattice", "MeanHead", "mean_head", "packed"]

LEVELS: Final = 250.0  # of a byte that brightness 1 takes
SEEN: Final = 0.05  # brightness below which it is air
MOST: Final = 14_000  # points of a cloud
FEW: Final = 4  # points of which one is asked until a pose is nearly right
STEP_MM: Final = 24.0  # between the nodes that bend it
BEND_MM: Final = 3.0  # by which bodies differ from the mean, standard deviation of a node
REACH_MM: Final = 45.0  # over which they differ alike
RIM_MM: Final = 4.0  # of a lattice beyond its cloud
Array = NDArray[np.float64]
Volume = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Points of the mean head."""

    places_mm: Array  # (n, 3)
    values: Array  # (n,)
    slopes: Array  # (n, 3) per mm

    def thinned(self, step: int) -> "Cloud":
        """One point of so many."""
        return Cloud(self.places_mm[::step], self.values[::step], self.slopes[::step])


class Lattice:
    """Nodes of a trilinear displacement, and how stiffly they hang together: a Gaussian process.

    Those that no place pulls at follow the others, the `held` ones, as the process has it.
    """

    def __init__(self, places_mm: Array) -> None:
        low, high = places_mm.min(axis=0) - RIM_MM, places_mm.max(axis=0) + RIM_MM
        self.low_mm = low
        self.count = np.ceil((high - low) / STEP_MM).astype(int) + 1
        self.size = int(self.count.prod())
        lines = [first + STEP_MM * np.arange(size) for first, size in zip(low, self.count, strict=True)]
        nodes = np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)
        apart = np.linalg.norm(nodes[:, None] - nodes, axis=-1) * (3**0.5 / REACH_MM)
        covariance = BEND_MM**2 * (1 + apart) * np.exp(-apart)  # Matern's, of order 3/2
        covariance += 1e-6 * np.eye(self.size)
        pulled = self.shares(places_mm)
        held = np.unique(pulled.indices[pulled.data > 0])
        self.pulled = pulled[:, held].tocsr()  # (place, held node)
        self.stiffness = np.linalg.inv(covariance[np.ix_(held, held)])  # of the held nodes
        self.following = covariance[:, held] @ self.stiffness  # (node, held node)

    def shares(self, places_mm: Array) -> csr_matrix:
        """Share (n, node) of every node at places (n, 3); beyond the rim those at the rim."""
        at = np.clip((places_mm - self.low_mm) / STEP_MM, 0, self.count - 1 - 1e-6)
        first = np.floor(at).astype(int)
        part = at - first
        corners = np.stack(np.meshgrid(*((0, 1),) * 3, indexing="ij"), -1).reshape(-1, 1, 3)
        weights = np.prod(np.where(corners, part, 1 - part), axis=2)
        x, y, z = np.moveaxis(first + corners, 2, 0)
        nodes = (x * self.count[1] + y) * self.count[2] + z
        rows = np.broadcast_to(np.arange(len(places_mm)), nodes.shape)
        return csr_matrix((weights.ravel(), (rows.ravel(), nodes.ravel())), (len(places_mm), self.size))


class MeanHead:
    """Brightness and share of brain (z, y, x), and the affine (4, 4) from (x, y, z) voxel to LPS mm of the template."""

    def __init__(self, values: Volume, brain: Volume, affine: Array) -> None:
        self.values, self.share, self.affine = values, brain, affine
        self.inverse = np.asarray(np.linalg.inv(affine), np.float64)
        whole = ndimage.binary_fill_holes(ndimage.binary_closing(values > SEEN, iterations=2))
        spacing = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
        self.outside_mm = ndimage.distance_transform_edt(~whole, sampling=spacing).astype(np.float32)
        rim = whole & ~ndimage.binary_erosion(whole, border_value=1)
        self.skin_mm = self._places(rim)
        self.brain = self._cloud(ndimage.binary_dilation(brain > 0.5))
        self.some = self.brain.thinned(FEW)
        self.bending = self._cloud(brain > 0.3)
        self.lattice = Lattice(self.bending.places_mm)
        self.brain_shares = self.lattice.shares(self.brain.places_mm)

    def _places(self, chosen: NDArray[np.bool_]) -> Array:
        return np.argwhere(chosen)[:, ::-1] @ self.affine[:3, :3].T + self.affine[:3, 3]

    def _cloud(self, chosen: NDArray[np.bool_]) -> Cloud:
        """Every k-th of the voxels chosen, so that there are not too many."""
        z, y, x = np.gradient(self.values)
        slopes = np.stack((x, y, z), -1)[chosen] @ self.inverse[:3, :3]
        step = -(-int(chosen.sum()) // MOST)
        return Cloud(self._places(chosen), self.values[chosen].astype(np.float64), slopes.astype(np.float64)).thinned(
            step
        )


def packed(mean: MeanHead) -> bytes:
    """The file of a mean head, from which mean_head makes the same to a byte of brightness."""
    file = io.BytesIO()
    values, brain = (np.clip(np.round(part * LEVELS), 0, 255).astype(np.uint8) for part in (mean.values, mean.share))
    np.savez_compressed(file, affine=mean.affine, values=values, brain=brain)
    return file.getvalue()


@lru_cache(maxsize=4)
def mean_head(content: bytes) -> MeanHead:
    """Read the file of a mean head; raises OSError, ValueError and KeyError for what is none."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        values, brain = (stored[name].astype(np.float32) / np.float32(LEVELS) for name in ("values", "brain"))
        return MeanHead(values, brain, stored["affine"].astype(np.float64))
