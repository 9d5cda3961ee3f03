"""What is looked for, in the order of the network's outputs."""

from typing import Final

__all__ = ["ARTEFACTS", "BORDER"]

ARTEFACTS: Final = ("motion", "noise", "ghosting", "wrap", "spike", "zipper", "blurring", "aliasing")
BORDER: Final = 16  # images are padded to multiples of it
