"""compress: fewer virtual coils, learned from calibration lines; less work for everything that follows."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.linear.compression import compress as apply
from engines.linear.compression import compression
from gadgets.context import Context
from protocols.messages import EarlyFrame, Frame, Message, Reference
from protocols.stream import Node

__all__ = ["compress"]

Coils = Annotated[int, Field(ge=0)]


def compress(_context: Context, coils: Coils = 0) -> Node:
    """Turn whitened coils into at most `coils` virtual coils, the strongest first; 0 keeps all coils.

    The matrix comes from the first calibration lines of each slice and serves all frames of that slice, so that maps
    and frames always speak of the same virtual coils. Slices without calibration lines pass as they are. Rows of the
    matrix are orthonormal: whitened noise stays white (Buehrer et al., Magn Reson Med 2007; 57:1131).
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        matrices: dict[int, NDArray[np.complex64]] = {}
        for message in messages:
            if not isinstance(message, Reference | EarlyFrame | Frame) or not 0 < coils < message.hybrid.shape[0]:
                yield message
                continue
            slice_ = int(message.header["idx"]["slice"])
            if isinstance(message, Reference) and slice_ not in matrices:
                matrices[slice_] = compression(message.hybrid, coils)
            if slice_ in matrices:
                message = replace(message, hybrid=apply(matrices[slice_], message.hybrid))
            yield message

    return node
