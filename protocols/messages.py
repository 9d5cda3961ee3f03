"""The frozen vocabulary: what travels through a chain of gadgets.

Coordinates are LPS mm from the isocentre. `hybrid` space means: phase encoding still in k-space, readout already in
image space; both centred (index n // 2 is k = 0 or x = 0), FFTs orthonormal.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols.events import Advice, Flag, Health, ImageReady, Metrics, Prescription, Quality

__all__ = [
    "Blob",
    "Calibrated",
    "Close",
    "Config",
    "EarlyFrame",
    "Error",
    "Failure",
    "Feedback",
    "Frame",
    "Header",
    "Image",
    "Lines",
    "Message",
    "Meta",
    "NoiseScan",
    "Query",
    "Readouts",
    "Reconstruction",
    "Record",
    "Reference",
    "Response",
    "Text",
    "Waveforms",
]

Record: TypeAlias = np.void  # one element of a structured array: protocols.mrd.ACQUISITION or IMAGE
Meta: TypeAlias = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Readouts:
    """Consecutive readouts of one layout, as they lay in the receive buffer, until the next message is asked for."""

    headers: NDArray[np.void]  # (readout,) of mrd.ACQUISITION
    trajectory: NDArray[np.float32]  # (readout, sample, dimension), dimension may be 0
    samples: NDArray[np.complex64]  # (readout, coil, sample); perhaps unaligned, perhaps read-only
    arrived_ns: int = 0  # monotonic clock when the last byte was there

    def part(self, which: NDArray[np.bool_] | slice) -> "Readouts":
        """Some of the readouts: those of a mask (readout,) copied out of the receive buffer, those of a slice not."""
        return Readouts(self.headers[which], self.trajectory[which], self.samples[which], self.arrived_ns)

    def aligned(self) -> "Readouts":
        """The readouts with samples that are aligned and in one piece: themselves, where they are."""
        flags = self.samples.flags
        if flags.aligned and flags.c_contiguous:
            return self
        return Readouts(self.headers, self.trajectory, self.samples.copy(), self.arrived_ns)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Readouts in hybrid space, oversampling removed: valid until the next message is asked for."""

    headers: NDArray[np.void]  # (readout,) of mrd.ACQUISITION
    samples: NDArray[np.complex64]  # (readout, coil, x)
    arrived_ns: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class NoiseScan:
    """Noise of all coils as the noise readouts had it, before whitening."""

    covariance: NDArray[np.complex64]  # (coil, coil)
    samples: int  # per coil
    dwell_us: float
    source: str  # "this scan" or the measurement id it was kept from
    whitened: bool = True  # whether the readouts that follow are whitened by it


@dataclass(frozen=True, slots=True, eq=False)
class Waveforms:
    """One block of a physiological trace."""

    header: Record  # mrd.WAVEFORM
    samples: NDArray[np.uint32]  # (trace, sample)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Calibration lines of one slice, complete: what sensitivity maps and weights are learned from."""

    hybrid: NDArray[np.complex64]  # (coil, e2, line, x), consecutive lines
    first_line: int  # row of line 0 in the full phase-encode matrix
    header: Record  # mrd.ACQUISITION of the last calibration readout
    separate: bool  # acquired apart from the imaging lines, not embedded in them
    expected: NDArray[np.bool_]  # (e2, e1) lines that the finished frame should hold


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What is being learned from a reference, perhaps still in a worker."""

    slice: int
    result: Future[object]  # an engines.linear calibration
    invert: Callable[[], None] = lambda: None  # let the linear inverse be made, once `result` is there
    lend: Callable[[Any], None] = lambda _: None  # or hand in an engines.linear solver in its place


@dataclass(frozen=True, slots=True, eq=False)
class EarlyFrame:
    """A frame before its last lines have come, with those of the frame before in their place."""

    hybrid: NDArray[np.complex64]  # (coil, e2, e1, x)
    acquired: NDArray[np.bool_]  # (e2, e1) lines that the frame will hold
    borrowed: NDArray[np.intp]  # (line,) rows that are of the frame before
    header: Record  # mrd.ACQUISITION of the last readout that has come
    number: int  # by which the frame tells that it is this one


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """All readouts of one slice at one instant, placed in hybrid space; what never came is zero."""

    hybrid: NDArray[np.complex64]  # (coil, e2, e1, x)
    acquired: NDArray[np.bool_]  # (e2, e1)
    header: Record  # mrd.ACQUISITION of the last readout: geometry, counters, time stamps
    arrived_ns: int  # monotonic clock when the last readout was there
    averages: int = 1
    reason: str = "last flag"  # why it left: last flag | complete | next frame | end of stream
    flags: tuple[Flag, ...] = ()  # what was noticed on the way (missing, repeated, spoilt lines)
    early: int = 0  # number of the EarlyFrame that it was, but for the borrowed lines; 0 where it was told by none


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """A complex image on the encoded matrix, readout oversampling removed, and how it was made."""

    pixels: NDArray[np.complex64]  # (z, y, x)
    header: Record  # mrd.ACQUISITION of the last readout
    arrived_ns: int
    engine: str  # which method made it
    noise_std: NDArray[np.float32] | None = None  # (y, x) expected noise, where known; of the middle partition
    details: Mapping[str, str] = field(default_factory=dict)  # acceleration, calibration …: goes into the image's meta
    flags: tuple[Flag, ...] = ()
    series: str = ""  # "" for the image of the scan, else what accompanies it: network | linear | error map
    source: Frame | None = None  # the lines it was made from, for whoever can make more of them
    learned: object = None  # the engines.linear calibration that it was made with
    begun: object = None  # what a network can go on from, where its inverse made the image
    companion: NDArray[np.complex64] | None = None  # (z, y, x) the linear image that a network's was drawn from


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One image, 2-D or 3-D, with its geometry and its story."""

    header: Record  # mrd.IMAGE
    pixels: NDArray[np.generic]  # (channel, z, y, x)
    meta: Meta = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()  # known when it was made; later opinions follow as messages of their own
    arrived_ns: int = 0  # of its last readout, monotonic clock
    noise_std: NDArray[np.float32] | None = None  # (y, x) of the middle partition, in units of the pixels
    companion: Callable[[], NDArray[np.generic]] | None = None  # makes the linear image behind a network's, as `pixels`
    phased: NDArray[np.complex64] | None = None  # (z, y, x) the image with its phase, in units of its own
    behind: Callable[[], NDArray[np.complex64]] | None = None  # makes the linear image behind a network's, as `phased`


@dataclass(frozen=True, slots=True)
class Text:
    """A line for the console's log, or (from the scanner) additional JSON configuration."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The stream cannot go on; what came before is still good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Error:
    """MRD ERROR(8), between Gadgetron and its external modules."""

    text: str


@dataclass(frozen=True, slots=True)
class Config:
    """CONFIG_FILE (a name) or CONFIG_TEXT (a whole document)."""

    text: str
    is_name: bool


@dataclass(frozen=True, slots=True)
class Header:
    """The ISMRMRD header XML as it came."""

    xml: str


@dataclass(frozen=True, slots=True)
class Close:
    """The peer has nothing more to say."""


@dataclass(frozen=True, slots=True)
class Query:
    """QUERY(6): a question on the data port."""

    correlation: int
    key: str


@dataclass(frozen=True, slots=True)
class Response:
    """RESPONSE(7) to a query."""

    correlation: int
    text: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """FEEDBACK(1028): a named value to the scanner."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A message that is carried on unread: its id and its body, id not included."""

    id: int
    body: bytes


Message: TypeAlias = (
    Readouts
    | Waveforms
    | Reference
    | Calibrated
    | Reconstruction
    | Lines
    | NoiseScan
    | Failure
    | EarlyFrame
    | Frame
    | Image
    | Text
    | Error
    | Config
    | Header
    | Close
    | Query
    | Response
    | Feedback
    | Blob
    | Flag
    | Advice
    | Prescription
    | Metrics
    | ImageReady
    | Quality
    | Health
)
