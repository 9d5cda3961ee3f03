"""What `export` does with a checkpoint of `train-artefacts`: probabilities that hold, figures, a card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.artefacts.names import ARTEFACTS
from trt_build.artefacts.collection import Collection
from trt_build.artefacts.command import examples
from trt_build.artefacts.export import export_artefacts
from trt_build.artefacts.figures import auroc, calibration_error, interval
from trt_build.artefacts.network import ArtefactNetwork
from trt_build.artefacts.scan import CALIBRATION, COILS, SHAPES, SNR
from trt_build.artefacts.training import Plan, answers, calibrate
from trt_build.export import Facts

__all__ = ["figures_of", "publish_artefacts"]

HELD_OUT: Final = 448  # scans of the validation subjects, and of the test subjects
SUMMARY: Final = "artefacts in 2-D images of heads with their phase: probability, severity and place of each"
OUTSIDE: Final = "no opinion, and a flag UNKNOWN that says which figure is outside the range"
SPLIT: Final = "by subject: training for the weights, validation for the calibration, test for the figures"
CONTRASTS: Final = ("T1", "T2", "PD", "FLAIR")
LIMIT: Final = 0.98  # at which `found` and `false` are counted


def publish_artefacts(
    state: dict[str, Any], out: Path, data: Path, kept: Path, facts: dict[str, str], tell: Callable[[str], None]
) -> None:
    """Calibrate on the validation subjects, judge on the test subjects, write the folder.

    `kept` is where examples are kept; `facts` are version, data_name, data_licence and data_source for the card.
    """
    network = ArtefactNetwork()
    network.load_state_dict(state["network"])
    network.eval()
    judges = {split: examples(data, kept, split, HELD_OUT, 2, _silent) for split in ("validation", "test")}
    calibrate(network, judges["validation"])
    scores, _ = answers(network, judges["test"])
    figures = figures_of(1 / (1 + np.exp(-scores)), judges["test"])
    tell(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    plan = Plan(**state["plan"])
    source = {"name": facts["data_name"], "licence": facts["data_licence"], "source": facts["data_source"]}
    training = {
        "data": [source],
        "split": SPLIT,
        "supervision": "supervised",
        "recipe": f"train-artefacts, {state['scans']} scans, {state['examples']} images, {plan.steps} steps",
        "seed": plan.seed,
        "commit": state["commit"],
        "minutes": round(state["minutes"], 1),
        "device": "cpu",
    }
    spans = {
        "acceleration": (1, 4),
        "coils": COILS,
        "matrix": (min(map(min, SHAPES)), max(map(max, SHAPES))),
        "snr": SNR,
        "calibration_lines": (CALIBRATION, CALIBRATION),
    }
    ranges = {name: list(map(float, span)) for name, span in spans.items()} | {"contrast": list(CONTRASTS)}
    made = Facts(out.name, facts["version"], SUMMARY, ranges, training, figures, OUTSIDE)
    export_artefacts(network, out, made)


def figures_of(probabilities: NDArray[np.floating], truth: Collection) -> dict[str, float | str]:
    """AUROC, calibration error, and what is found and falsely found at LIMIT, of each artefact that some image has."""
    present, scans = truth.together("present"), np.unique(truth.together("snr"), return_inverse=True)[1]
    clean = ~present.any(1)
    made: dict[str, float | str] = {"test_images": len(present), "test_clean": int(clean.sum())}
    for number, name in enumerate(ARTEFACTS):
        given, has = probabilities[:, number], present[:, number]
        if not has.any() or not clean.any():
            continue
        made |= {
            f"test_{name}_auroc": round(auroc(given, has), 4),
            f"test_{name}_ece": round(calibration_error(given, has), 4),
            f"test_{name}_found": round(float((given[has] > LIMIT).mean()), 4),
            f"test_{name}_false": round(float((given[clean] > LIMIT).mean()), 4),
        }
    moved, has = probabilities[:, 0], present[:, 0]
    for what, figure in (("auroc", auroc), ("ece", calibration_error)) if has.any() else ():
        low, high = interval(figure, moved, has, scans)
        made |= {f"test_motion_{what}_low": round(low, 4), f"test_motion_{what}_high": round(high, 4)}
    return made


def _silent(_: str, __: float) -> None:
    """Tell nobody."""
