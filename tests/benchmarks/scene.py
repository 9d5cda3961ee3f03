"""One simulated head under sixteen coils: as bytes for a socket, and as arrays for those who compute alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_fill_holes

from engines.linear.calibration import Calibration, learn
from engines.linear.combine import rss
from engines.linear.fourier import readout_to_hybrid, to_image, to_kspace
from engines.linear.noise import whitener
from gadgets.accumulate import accumulate
from gadgets.context import Context
from gadgets.oversampling import oversampling
from gadgets.whiten import whiten
from hw_sim.coils import head_array
from hw_sim.exam import sequence_of
from hw_sim.head import mni_head
from hw_sim.paperwork import Order
from hw_sim.scanner import Played, Scanner
from hw_sim.sequencer import Kind
from hw_sim.signal import slice_image, slice_kspace
from protocols import mrd
from protocols.decode import readout_layout
from protocols.encode import encode
from protocols.header import write_header
from protocols.messages import Config, Frame, Header, NoiseScan, Readouts, Reference
from protocols.mrd import AcqFlag, flag_mask
from protocols.scan import Limit
from protocols.stream import chain

COILS = 16
VARIETY = 8  # frames with noise of their own; after them the first one comes again


class Scene(NamedTuple):
    """A series of one slice on the wire."""

    protocol: str
    opening: bytes  # CONFIG_FILE and HEADER
    before: np.ndarray  # (readout,) of readout_layout: noise scan, separate calibration
    frames: np.ndarray  # (variety, readout) of the same
    played: Played

    def frame(self, number, *, last=False):
        """The records (readout,) of frame `number`, to be sent before the next one is asked for."""
        records = self.frames[number % VARIETY]
        records["header"]["idx"]["repetition"] = number
        if last:
            records["header"]["flags"][-1] |= flag_mask(AcqFlag.LAST_IN_MEASUREMENT)
        return records


class Problem(NamedTuple):
    """One frame and what is needed to make an image of it, as the plugin has them when the last line has come."""

    hybrid: np.ndarray  # (coil, line, x) whitened, zero where nothing was acquired
    kspace: np.ndarray  # the same, the readout in k-space too
    acquired: np.ndarray  # (line,)
    calibration: Calibration
    truth: np.ndarray  # (y, x) magnitude without noise, fully sampled
    head: np.ndarray  # (y, x) bool


def make_scene(protocol, frames, **changes):
    """A scan protocol of `frames` repetitions of one slice through the MNI head, with changes to its simulation."""
    _, simulate = sequence_of(protocol)
    simulate = simulate.model_copy(update={"slices": 1, "repetitions": VARIETY, **changes})
    played = Scanner(mni_head(), head_array(COILS)).prepare(simulate, Order(protocol))
    encoding = played.scan.encodings[0]
    limits = {**encoding.limits, "repetition": Limit(0, frames - 1, 0)}
    scan = replace(played.scan, encodings=(replace(encoding, limits=limits),))
    played = replace(played, scan=scan)
    opening = (*encode(Config(protocol, is_name=True)), *encode(Header(write_header(scan))))
    records = np.concatenate([_records(batch) for batch in played.readouts()])
    records["header"]["flags"][-1] &= ~np.uint64(flag_mask(AcqFlag.LAST_IN_MEASUREMENT))
    first = int(np.argmax(played.plan["kind"] == Kind.IMAGING))
    return Scene(protocol, b"".join(opening), records[:first], records[first:].reshape(VARIETY, -1), played)


def make_problem(scene):
    """The scene's first frame, taken as far as the plugin's own gadgets take it, and the truth about it."""
    protocol, _ = sequence_of(scene.protocol)
    with ThreadPoolExecutor(1) as workers:
        context = Context(scene.played.scan, protocol, workers)
        gadgets = chain(whiten(context), oversampling(context), accumulate(context))
        found = {type(m): m for m in gadgets(iter([_readouts(scene.before), _readouts(scene.frame(0))]))}
    frame, reference, noise = found[Frame], found[Reference], found[NoiseScan]
    asked = dict(protocol.chain.nodes)["calibrate"]
    lines = reference.hybrid[:, 0], reference.first_line, reference.expected[0]
    calibration = learn(*lines, asked["maps"], asked["regularisation"])
    hybrid = frame.hybrid[:, 0]
    truth = _truth(scene.played, noise)
    head = binary_fill_holes(truth > 0.1 * np.percentile(truth, 98))
    return Problem(hybrid, to_kspace(hybrid, 2), frame.acquired[0], calibration, truth, head)


def _truth(played, noise):
    """Root sum of squares of noise-free, fully sampled, whitened coil images: what maps of unit norm refer to."""
    source = played.source
    viewed = slice_image(source.scanner.patient, source.planes[0], source.simulate, source.weight)
    kspace = slice_kspace(viewed, source.planes[0], source.scanner.coils, source.simulate) * played.frontend.gain
    lines = whitener(noise.covariance) @ kspace.swapaxes(0, 1).astype(np.complex64)
    encoding = played.scan.encodings[0]
    hybrid = readout_to_hybrid(lines, encoding.encoded_matrix[0], encoding.recon_matrix[0])
    return rss(to_image(hybrid.swapaxes(0, 1), 1))


def octets(records):
    """Records as they go over the wire."""
    return memoryview(records.view(np.uint8).reshape(-1))


def _records(batch):
    _, coils, samples = batch.samples.shape
    return np.frombuffer(b"".join(encode(batch)), readout_layout(samples, coils, 0)).copy()


def _readouts(records):
    assert records.dtype["header"] == mrd.ACQUISITION
    return Readouts(records["header"], records["trajectory"], records["samples"])
