"""Figures of trust of one case, clean and with every structure, as the plugin would have them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import ColumnInverse, solve_columns
from engines.linear.fourier import to_kspace
from engines.unrolled.begun import begin_frame, linear_solver, serves_linear
from engines.unrolled.bridge import Infer
from engines.unrolled.difference import smooth_difference, striking_difference
from engines.unrolled.prepared import Prepared, make_ready, prepare
from engines.unrolled.run import draw
from engines.unrolled.trust import Trust, judge, predicted_lines
from engines.unrolled.verdict import Cue, verdict_of
from protocols.limits import QualityLimit
from trt_build.planted.structures import Structure, structures
from trt_build.report.cases import Case
from trt_build.report.classical import column_inverse

__all__ = ["CUES", "Row", "scores_of"]

CUES: Final = ("local_difference", "linear_difference", "trust", "trust_vs_linear", "error_share")
WITHHELD: Final = 0.03  # share of the lines, as the chain withholds them

Complex = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Row:
    """What one image scored."""

    subject: str
    name: str
    acceleration: int
    kind: str  # clean, invented or erased
    size: int
    contrast: float
    cues: Mapping[str, float]
    word: str
    excess: float


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """A case that is ready, and the image that the network made of it."""

    case: Case
    prepared: Prepared
    inverse: ColumnInverse
    network: Complex
    error_share: float


def scores_of(
    case: Case, infer: Infer, strength: float, limits: Mapping[str, QualityLimit], seed: int
) -> Iterator[Row]:
    """Score the network image of a case as it is, then with each structure.

    An invented one is added to the image. An erased one is added to the patient: to the lines, so that the linear image
    and the predictions of withheld lines have it, and the network image, drawn without it, has not.
    """
    prepared = prepare(case.calibration, case.acquired, strength, WITHHELD)
    make_ready(prepared)
    made = draw(infer, None, prepared, case.hybrid)
    share = float(made.error.sum() / np.abs(made.pixels).sum())
    scene = _Scene(case, prepared, column_inverse(case), made.pixels, share)
    clean = _row(scene, scene.network, case.hybrid, limits)
    yield clean
    for structure in structures(case, np.random.default_rng(seed)):
        row = _row(scene, *_planted(scene, structure), limits)
        yield replace(row, kind=structure.kind, size=structure.size, contrast=structure.contrast)


def _planted(scene: _Scene, structure: Structure) -> tuple[Complex, Complex]:
    """Network image and frame with a structure."""
    case = scene.case
    if structure.kind == "invented":
        return scene.network + structure.pixels, case.hybrid
    received = to_kspace(case.maps * structure.pixels, 1) * case.acquired[:, None]
    return scene.network, (case.hybrid + received).astype(np.complex64)


def _row(scene: _Scene, network: Complex, hybrid: Complex, limits: Mapping[str, QualityLimit]) -> Row:
    case = scene.case
    linear = _linear(scene, hybrid)
    trust = _trust(scene.prepared, network, hybrid)
    cues = {
        "local_difference": striking_difference(network, linear, case.calibration.inside).score,
        "linear_difference": smooth_difference(network, linear),
        "trust": trust.error,
        "trust_vs_linear": trust.ratio,
        "error_share": scene.error_share,
    }
    verdict = verdict_of([Cue(code, score, limits.get(code), code) for code, score in cues.items()])
    word, excess = verdict.word.value, verdict.excess
    return Row(case.name.split()[0], case.name, case.acceleration, "clean", 0, 0.0, cues, word, excess)


def _linear(scene: _Scene, hybrid: Complex) -> Complex:
    """The linear image as the chain makes it: from the network's inverse where that serves."""
    solved = linear_solver(scene.prepared)(hybrid, None) if serves_linear(scene.prepared) else None
    return solve_columns(scene.inverse, hybrid) if solved is None else solved.pixels


def _trust(prepared: Prepared, network: Complex, hybrid: Complex) -> Trust:
    problem, predictor = prepared.box.columns_problem, prepared.predictor
    assert predictor is not None  # noqa: S101
    begun = begin_frame(prepared, hybrid)
    assert begun.companion is not None  # noqa: S101 (it has a predictor)
    box = network[prepared.box.rows, prepared.box.columns]
    predicted = predicted_lines(problem, prepared.withheld, np.ascontiguousarray(box))
    return judge(predictor.gram, begun.measured, predicted, begun.companion)
