"""The methods of the report: each makes an image of a case, and says how long that took.

Timed is what has to happen after the last readout, with everything known that can be known before: sensitivity maps,
inverses, opened engines, loaded weights.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.card import Range
from engines.linear.columns import solve_columns
from engines.unrolled.bridge import Infer
from engines.unrolled.prepared import make_ready, prepare
from engines.unrolled.run import draw
from engines.unrolled.scope import facts_of, outside
from trt_build.report.cases import Case
from trt_build.report.classical import bart_maps, bart_sense, bart_wavelet, column_inverse, sigpy_sense, zero_filled

__all__ = [
    "CLASSICAL",
    "NAMES",
    "Drawn",
    "Infer",
    "Method",
    "Weights",
    "classical",
    "network",
    "timed",
    "with_ecalib",
    "without_weights",
]

Complex: TypeAlias = NDArray[np.complex64]
Weights: TypeAlias = Mapping[tuple[str, int, str], float]  # (group, acceleration, pattern) -> lambda of l1-wavelet

WITHHELD: Final = 0.03  # share of the lines, as the chain withholds them
VALIDATED: Final = "heads"  # group whose weights were chosen on other cases than those reported
NAMES: Final = {  # in the order of tables and panels
    "zero_filled": "zero-filled",
    "linear": "linear (ours)",
    "cg_sense": "CG-SENSE (BART)",
    "cg_sense_sigpy": "CG-SENSE (sigpy)",
    "l1_wavelet": "ℓ1-wavelet (BART)",
    "l1_wavelet_blind": "ℓ1-wavelet (BART), weight of validation heads",
    "unet": "U-Net",
    "varnet": "E2E-VarNet",
    "network": "network (ours)",
    "network_withheld": "network (ours), 3 % of lines withheld",
}

CLASSICAL: Final = tuple(NAMES)[:6]  # without weights: they change with our code alone


class Drawn(NamedTuple):
    """An image and what it took."""

    image: NDArray[Any]  # (y, x) complex or magnitude
    ms: float
    error: NDArray[np.float32] | None = None  # (y, x) bound under which nine errors of ten lie
    outside: tuple[str, ...] = ()  # why the chain would send the linear image instead


@dataclass(frozen=True, slots=True)
class Method:
    """One way to make an image; `draw` is None for a peer whose weights are not there."""

    key: str
    draw: Callable[[Case], Drawn] | None

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return NAMES[self.key]


def timed(make: Callable[[], NDArray[Any]]) -> Drawn:
    """Call once and take the time."""
    began = time.perf_counter()
    image = make()
    return Drawn(image, (time.perf_counter() - began) * 1e3)


def _linear(case: Case) -> Drawn:
    inverse = column_inverse(case)
    return timed(lambda: solve_columns(inverse, case.hybrid))


def with_ecalib(case: Case) -> Complex:
    """BART's own maps of a case; those of the last slice are kept, as all its masks share the calibration lines."""
    key = (case.group, case.name)
    if _ecalib.get("key") != key:
        _ecalib.update(key=key, maps=bart_maps(case))
    return _ecalib["maps"]


_ecalib: dict[str, Any] = {}


def classical(weights: Weights, ecalib: Mapping[tuple[str, int, str], bool]) -> list[Method]:
    """Everything that needs no training; l1-wavelet with the maps and the weight that tuning found best.

    Once more with those of the validation heads, whatever the group, as somebody without the answer would choose.
    """

    def wavelet(case: Case, group: str) -> Drawn:
        key = (group, case.acceleration, case.pattern)
        maps = with_ecalib(case) if ecalib[key] else None
        return timed(lambda: bart_wavelet(case, weights[key], maps))

    known = any(group == VALIDATED for group, _, _ in weights)

    return [
        Method("zero_filled", lambda case: timed(lambda: zero_filled(case))),
        Method("linear", _linear),
        Method("cg_sense", lambda case: timed(lambda: bart_sense(case))),
        Method("cg_sense_sigpy", lambda case: timed(lambda: sigpy_sense(case))),
        Method("l1_wavelet", lambda case: wavelet(case, case.group)),
        *([Method("l1_wavelet_blind", lambda case: wavelet(case, VALIDATED))] if known else []),
    ]


def network(infer: Infer, strength: float, made_for: Range | None = None, withheld: float = 0.0) -> Method:
    """Our network as the chain draws it, the inverse being there, with a share of the lines withheld to judge it.

    Drawn, but said, where the chain would refuse a case.
    """

    def draw_case(case: Case) -> Drawn:
        prepared = prepare(case.calibration, case.acquired, strength, withheld)
        make_ready(prepared)
        began = time.perf_counter()
        made = draw(infer, None, prepared, case.hybrid)
        return Drawn(made.pixels, (time.perf_counter() - began) * 1e3, made.error, _outside(case, made_for))

    return Method("network_withheld" if withheld else "network", draw_case)


def _outside(case: Case, made_for: Range | None) -> tuple[str, ...]:
    if made_for is None:
        return ()
    known = case.calibration
    coils, lines = known.lines.shape[:2]
    return outside(facts_of(case.target, known.inside, case.acquired, coils, lines), made_for)


def without_weights(key: str) -> Method:
    """A peer that was not trained."""
    return Method(key, None)
