"""What backends are compared on: images of a few simulated scans, as the network is shown them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from numpy.typing import NDArray

from trt_build.artefacts.examples import examples_of, planes
from trt_build.data.volumes import Source

__all__ = ["LARGEST", "known_images"]

LARGEST: Final = 0.01  # difference of a probability
SCANS: Final = 8
SEED: Final = 9


def known_images(source: Source | None) -> Iterator[Mapping[str, Mapping[str, NDArray[Any]]]]:
    """Tensors by graph, of clean and spoilt images; none without heads."""
    for index in range(SCANS if source is not None else 0):
        assert source is not None  # noqa: S101
        yield from ({"model": planes(made.pixels)} for made in examples_of(source, SEED, index))
