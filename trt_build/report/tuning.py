"""The weight of l1-wavelet, chosen in the peer's favour.

For test heads it is the one that is best on validation subjects. Other groups have no validation data: there it is the
best one on the very cases that are reported, which nobody has in practice. The same holds for whose maps it gets.
"""

from collections.abc import Callable, Iterable
from statistics import mean
from typing import Final, NamedTuple

from trt_build.report.cases import Case
from trt_build.report.classical import bart_wavelet
from trt_build.report.evaluate import judge
from trt_build.report.methods import Drawn, with_ecalib

__all__ = ["GRID", "Tuned", "tune"]

GRID: Final = (0.001, 0.002, 0.004, 0.007, 0.01, 0.015, 0.02, 0.03)
Key = tuple[str, int, str]  # group, acceleration, pattern


class Tuned(NamedTuple):
    """What suits l1-wavelet best."""

    weights: dict[Key, float]
    ecalib: dict[Key, bool]


def tune(cases: Iterable[Case], step: Callable[[], None] = lambda: None) -> Tuned:
    """Try every weight with our maps and with ecalib's; the best mean PSNR in the brain counts. `step` after a case."""
    reached: dict[Key, dict[tuple[float, bool], list[float]]] = {}
    for case in cases:
        key = (case.group, case.acceleration, case.pattern)
        for ecalib in (False, True):
            maps = with_ecalib(case) if ecalib else None
            for weight in GRID:
                row = judge(case, "l1_wavelet", Drawn(bart_wavelet(case, weight, maps), 0.0))
                reached.setdefault(key, {}).setdefault((weight, ecalib), []).append(row.brain.psnr_db)
        step()
    best = {key: max(tried, key=lambda option: mean(tried[option])) for key, tried in reached.items()}
    return Tuned({key: weight for key, (weight, _) in best.items()}, {key: own for key, (_, own) in best.items()})
