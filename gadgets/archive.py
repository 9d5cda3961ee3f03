"""archive: raw data to an ISMRMRD HDF5 file, beside the chain and never in its way."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from gadgets.context import Context
from protocols.channel import Channel
from protocols.events import Severity
from protocols.messages import Message, Readouts, Waveforms
from protocols.stream import Node

__all__ = ["archive"]

CHUNK = 128  # readouts a chunk of the HDF5 dataset
log = structlog.get_logger()


def archive(context: Context, queue_mib: int = 256, flush_every_s: float = 1.0) -> Node:
    """Copy every readout and waveform to `<archive>/<UTC time>_<session>.h5`, written by a thread of its own.

    The file can be read up to its last flush after a crash, and is synced to the disk at the end. When the disk is so
    slow that `queue_mib` are waiting, archiving stops for this scan with a flag: images never wait for a disk, and
    nothing is left out of the middle in silence. Without an archive folder (`scanside serve --archive DIR`) messages
    pass by.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        if context.archive is None:
            yield from messages
            return
        writer = _Writer(_path(context.archive, context.session), context.xml, queue_mib << 20, flush_every_s)
        try:
            for message in messages:
                if isinstance(message, Readouts | Waveforms):
                    yield from _problem(writer.take(message), context)
                yield message
            yield from _problem(writer.finish(), context)
        finally:
            writer.finish()

    return node


def _problem(problem: str | None, context: Context) -> Iterator[Message]:
    if problem is not None:
        yield context.flag("archive_incomplete", Severity.FAIL, problem, advice="free the archive's disk")


def _path(folder: Path, session: str) -> Path:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    return folder / f"{stamp}_{session or 'scan'}.h5"


class _Writer:
    """One file, one thread, a bounded number of bytes on their way."""

    def __init__(self, path: Path, xml: str, room: int, flush_every_s: float) -> None:
        self._path, self._xml, self._room, self._flush_every_s = path, xml, room, flush_every_s
        self._queue: Channel[Readouts | Waveforms] = Channel(1 << 20)
        self._waiting = 0
        self._lost = 0
        self._problem: str | None = None
        self._told = False
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._thread.start()

    def take(self, message: Readouts | Waveforms) -> str | None:
        """Queue a copy; a sentence, once, when the archive had to stop."""
        size = message.samples.nbytes
        if self._problem is None and self._waiting + size > self._room:
            self._problem = f"the disk is too slow: {self._waiting >> 20} MiB were waiting for {self._path.name}"
        if self._problem is not None:
            self._lost += len(message.samples)
            return self._tell()
        self._waiting += size
        self._queue.put(_copy(message))
        return None

    def finish(self) -> str | None:
        """Write what is queued, sync, close; a sentence when something is missing and has not been told."""
        self._queue.close()
        self._thread.join()
        return self._tell()

    def _tell(self) -> str | None:
        if self._problem is None or self._told:
            return None
        self._told = True
        return f"raw data is archived in part only: {self._problem}"

    def _run(self) -> None:
        import h5py  # here, so that a plugin without an archive starts sooner

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(self._path, "w-") as file:
                self._write(file)
                file["dataset"].attrs["complete"] = self._problem is None
                file.flush()
            with self._path.open("rb") as written:
                os.fsync(written.fileno())
            log.info("archived", file=self._path.name, complete=self._problem is None, lost_readouts=self._lost)
        except OSError as error:
            self._problem = f"{self._path.name}: {error}"
            log.error("archive failed", file=self._path.name, error=str(error))  # noqa: TRY400 - the reason is enough

    def _write(self, file: Any) -> None:
        import h5py
        from ismrmrd.hdf5 import acquisition_dtype

        group = file.create_group("dataset")
        group.create_dataset("xml", data=[self._xml.encode()], dtype=h5py.special_dtype(vlen=bytes))
        flushed = time.monotonic()
        for message in self._queue:
            rows = _readout_rows(message) if isinstance(message, Readouts) else _waveform_rows(message)
            name = "data" if rows.dtype == acquisition_dtype else "waveforms"
            if name not in group:
                group.create_dataset(name, (0,), maxshape=(None,), chunks=(CHUNK,), dtype=rows.dtype)
            dataset = group[name]
            dataset.resize(len(dataset) + len(rows), axis=0)
            dataset[-len(rows) :] = rows
            self._waiting -= message.samples.nbytes
            if time.monotonic() - flushed >= self._flush_every_s:
                file.flush()
                flushed = time.monotonic()


def _copy(message: Readouts | Waveforms) -> Readouts | Waveforms:
    """Take a message out of the receive buffer."""
    if isinstance(message, Waveforms):
        return message
    return replace(
        message,
        headers=message.headers.copy(),
        trajectory=message.trajectory.copy(),
        samples=message.samples.copy(),
    )


def _readout_rows(message: Readouts) -> NDArray[np.void]:
    from ismrmrd.hdf5 import acquisition_dtype

    rows = np.empty(len(message.headers), acquisition_dtype)
    rows["head"] = message.headers
    trajectory = message.trajectory.reshape(len(rows), -1)
    samples = message.samples.view(np.float32).reshape(len(rows), -1)
    for n in range(len(rows)):
        rows["traj"][n] = trajectory[n]
        rows["data"][n] = samples[n]
    return rows


def _waveform_rows(message: Waveforms) -> NDArray[np.void]:
    from ismrmrd.hdf5 import waveform_dtype

    rows = np.empty(1, waveform_dtype)
    rows["head"] = message.header
    rows["data"][0] = message.samples.ravel()
    return rows
