"""oversampling: readouts to image space along the readout, cut to the field of view that is wanted."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.linear.fourier import readout_to_hybrid
from gadgets.context import Context
from protocols.messages import Failure, Lines, Message, Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["oversampling"]


def oversampling(context: Context, kspace_sign: Literal["positive", "negative"] = "positive") -> Node:
    """Fourier-transform every readout as it arrives and drop what lies outside the field of view.

    Readouts that ran backwards (REVERSE) are turned round, asymmetric echoes are padded so that k = 0 stands in the
    centre. `kspace_sign = "negative"` is for scanners that write k-space with the opposite sign (Siemens product
    sequences): without it their images come out turned by 180 degrees against the header's directions.
    """
    encoding = context.scan.encodings[0]
    full = encoding.encoded_matrix[0]
    wanted = max(1, round(full * min(encoding.recon_fov_mm[0] / encoding.encoded_fov_mm[0], 1.0)))

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        for message in messages:
            if not isinstance(message, Readouts) or not len(message.headers):
                yield message
                continue
            header = message.headers[0]
            before, after = int(header["discard_pre"]), int(header["discard_post"])
            count = message.samples.shape[2] - before - after
            if not 0 < count <= full:
                yield Failure(
                    f"readout {int(header['scan_counter'])} has {message.samples.shape[2]} samples ({before} and {after} "
                    f"to be discarded), the header's encoded matrix {full}; correct encodedSpace or the readout"
                )
                return
            samples = _forwards(message, slice(before, before + count))
            if kspace_sign == "negative":
                samples = samples.conj()
            centre = int(header["center_sample"]) - before
            yield Lines(message.headers, readout_to_hybrid(samples, full, wanted, centre), message.arrived_ns)

    return node


def _forwards(message: Readouts, which: slice) -> NDArray[np.complex64]:
    samples = message.samples[..., which]
    backwards = has_flag(message.headers["flags"], AcqFlag.IS_REVERSE)
    if not backwards.any():
        return samples
    turned = np.array(samples)
    turned[backwards] = _about_centre(turned[backwards], int(message.headers["center_sample"][0]) - which.start)
    return turned


def _about_centre(samples: NDArray[np.complex64], centre: int) -> NDArray[np.complex64]:
    """Reverse the order of samples so that the centre sample stays where it is."""
    turned = samples[..., ::-1]
    return np.roll(turned, 2 * centre - samples.shape[-1] + 1, axis=-1)
