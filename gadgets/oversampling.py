"""oversampling: readouts to image space along the readout, cut to the field of view that is wanted."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError
from engines.linear.fourier import readout_to_hybrid
from gadgets.context import Context
from protocols.messages import Failure, Lines, Message, Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["oversampling"]

Sign = Literal["positive", "negative"]


def oversampling(context: Context, kspace_sign: Sign = "positive") -> Node:
    """Fourier-transform every readout as it arrives and drop what lies outside the field of view.

    Readouts that ran backwards (REVERSE) are turned round, asymmetric echoes are padded so that k = 0 stands in the
    centre. `kspace_sign = "negative"` is for scanners that write k-space with the opposite sign (Siemens product
    sequences): without it their images come out turned by 180 degrees against the header's directions.
    """
    negative = kspace_sign == "negative"
    encoding = context.scan.encodings[0]
    full = encoding.encoded_matrix[0]
    wanted = max(1, round(full * min(encoding.recon_fov_mm[0] / encoding.encoded_fov_mm[0], 1.0)))

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        for message in messages:
            if not isinstance(message, Readouts) or not len(message.headers):
                yield message
                continue
            try:
                samples = _hybrid(message, full, wanted, kspace_sign)
            except LinearError as error:
                counter = int(message.headers["scan_counter"][0])
                yield Failure(f"readout {counter}: {error}; correct encodedSpace in the header, or the readout")
                return
            yield Lines(message.headers, samples.conj() if negative else samples, message.arrived_ns)

    return node


def _hybrid(message: Readouts, full: int, wanted: int, sign: Sign) -> NDArray[np.complex64]:
    header = message.headers[0]
    discard = int(header["discard_pre"]), int(header["discard_post"])
    centre = int(header["center_sample"])
    backwards = has_flag(message.headers["flags"], AcqFlag.IS_REVERSE)
    if not backwards.any():
        return readout_to_hybrid(message.samples, full, wanted, centre, discard, sign)
    hybrid = np.empty((*message.samples.shape[:2], wanted), np.complex64)
    turned = message.samples[backwards][..., ::-1]
    last = message.samples.shape[2] - 1
    beyond = max(0, centre - discard[0] - (full - 1) // 2)  # an even readout ends one sample further when it runs back
    turned_discard = discard[1], discard[0] + beyond
    hybrid[backwards] = readout_to_hybrid(turned, full, wanted, last - centre, turned_discard, sign)
    if not backwards.all():
        hybrid[~backwards] = readout_to_hybrid(message.samples[~backwards], full, wanted, centre, discard, sign)
    return hybrid
