"""Real raw data from an ISMRMRD HDF5 file, read in bulk and sent as a scanner would."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.errors import SimulationError
from hw_sim.pacing import at_once, every, recorded
from hw_sim.paperwork import TICK_NS
from protocols.messages import Message, Readouts
from protocols.mrd import ACQUISITION

__all__ = ["Recording", "read_recording"]

CHUNK: Final = 4096  # acquisitions that are held in memory at once


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """An ISMRMRD file: its header and all acquisition headers; samples are read while they are sent."""

    path: Path
    group: str
    xml: str
    headers: NDArray[np.void]  # (acquisition,) of mrd.ACQUISITION

    def readouts(self) -> Iterator[Readouts]:
        """Yield all acquisitions in file order, runs of equal layout as one batch; samples as they lie in the file."""
        import h5py

        with h5py.File(self.path, "r") as file:
            data = file[self.group]["data"]
            for begin in range(0, len(data), CHUNK):
                rows = data[begin : begin + CHUNK]
                yield from _batches(self.headers[begin : begin + CHUNK], rows, self.path, begin)

    def paced(self, pace: str) -> Iterator[tuple[int, Message]]:
        """Give every readout its time: `recorded`, `max`, or a TR in ms."""
        if pace == "max":
            return at_once(self.readouts())
        if pace == "recorded":
            ticks = self.headers["acquisition_time_stamp"]
            if len(ticks) > 1 and ticks.min() == ticks.max():
                raise SimulationError(f"{self.path}: it has no time stamps, so give a TR in ms: --pace 5")
            return recorded(self.readouts(), ticks, TICK_NS)
        try:
            tr_ms = float(pace)
        except ValueError:
            tr_ms = -1.0
        if not 0 < tr_ms < 1e5:
            raise SimulationError(f"--pace: got {pace!r}, wanted recorded, max or a TR in ms, for example 5")
        return every(self.readouts(), tr_ms)


def _batches(heads: NDArray[np.void], rows: NDArray[np.void], path: Path, begin: int) -> Iterator[Readouts]:
    """Cut a chunk into runs of one layout."""
    layout = np.stack([heads[name] for name in ("number_of_samples", "active_channels", "trajectory_dimensions")], 1)
    cuts = np.flatnonzero((np.diff(layout.astype(int), axis=0) != 0).any(axis=1)) + 1
    for first, last in zip([0, *cuts], [*cuts, len(heads)], strict=True):
        samples, coils, dimensions = (int(value) for value in layout[first])
        run = rows[first:last]
        try:
            data = np.concatenate(list(run["data"])).astype("<f4", copy=False).view("<c8")
            data = data.reshape(last - first, coils, samples)
            trajectory = np.zeros((last - first, samples, dimensions), np.float32)
            if dimensions:
                trajectory[...] = np.concatenate(list(run["traj"])).reshape(trajectory.shape)
        except ValueError as problem:
            raise SimulationError(
                f"{path}: acquisitions {begin + first} to {begin + last - 1} do not hold the {coils} coils x {samples} "
                f"samples that their headers tell ({problem})"
            ) from problem
        yield Readouts(heads[first:last], trajectory, data)


def read_recording(path: Path, group: str = "dataset") -> Recording:
    """Open an ISMRMRD HDF5 file; raises SimulationError for what is not one."""
    import h5py

    if not path.exists():
        raise SimulationError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if group not in file:
                raise SimulationError(f"{path}: no group '{group}'; it has {', '.join(file) or 'nothing'}. Try --group")
            parts = file[group]
            absent = [name for name in ("xml", "data") if name not in parts]
            if absent:
                raise SimulationError(
                    f"{path}: group '{group}' has no '{absent[0]}', it has {', '.join(parts) or 'nothing'}; "
                    f"wanted raw data as ISMRMRD writes it"
                )
            return Recording(path, group, _text(parts["xml"][()]), _headers(parts["data"]["head"], path))
    except OSError as problem:
        raise SimulationError(f"{path}: not a readable HDF5 file ({problem})") from problem


def _text(stored: object) -> str:
    """Return the header XML, which is stored as an array of one string of bytes."""
    first = np.atleast_1d(np.asarray(stored, object))[0]
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


def _headers(stored: NDArray[np.void], path: Path) -> NDArray[np.void]:
    """Convert headers from the file's compound type to the wire's."""
    heads = np.zeros(len(stored), ACQUISITION)
    names = ACQUISITION.names or ()
    absent = [name for name in names if name not in (stored.dtype.names or ())]
    if absent:
        raise SimulationError(f"{path}: the acquisition headers have no '{absent[0]}'; wanted ISMRMRD version 1")
    for name in names:
        if name == "idx":
            for counter in ACQUISITION["idx"].names or ():
                heads["idx"][counter] = stored["idx"][counter]
        else:
            heads[name] = stored[name]
    return heads
