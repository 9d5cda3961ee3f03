"""What `export` does with a checkpoint of `train-landmarks`: regions that hold, limits, figures, a card."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.positioning.find import Infer, Seen, look
from engines.positioning.shape import shape_modes
from engines.positioning.stripped import Stripper
from engines.positioning.surfaces import outermost
from engines.positioning.template import Template
from trt_build.data.errors import DataError
from trt_build.export import Facts
from trt_build.landmarks.brain import learned
from trt_build.landmarks.calibrate import calibrated, meet
from trt_build.landmarks.export import GRAPHS, Answer, export_landmarks
from trt_build.landmarks.heads import EXTENT, NAMES, extents, subjects, template_mm
from trt_build.landmarks.mean import mean_of
from trt_build.landmarks.network import LandmarkNetwork
from trt_build.landmarks.planes import placed, wide_enough
from trt_build.landmarks.scouts import BAD, Made, Ranges, simulate
from trt_build.landmarks.training import MIRRORED

__all__ = ["as_json", "figures_of", "publish_landmarks", "regions", "template_from"]

HELD_OUT: Final = 96  # good scouts of the validation subjects, and of the test subjects
BAD_SCOUTS: Final = 3  # of each kind, of either
SEEDS: Final = {"validation": 21, "test": 22}
LOST: Final = 0.01  # share of good scouts that may be refused for being implausible
PRESENT: Final = 0.5
LOWEST_MM: Final = -60.0
HULL: Final = 160  # points
MODES: Final = 12  # of the shapes of heads
PLANE: Final = ("ac", "pc", "genu", "splenium", "fossa", "pons")  # that the anatomy's mid-sagittal plane is made of
SUMMARY: Final = "landmarks of the head in scouts: places, how far to believe them, whether it is a head"
OUTSIDE: Final = "nothing is prescribed, and a flag UNKNOWN or REFUSED says why"
SPLIT: Final = "by subject: training for the weights, validation for regions and limits, test for the figures"
CONTRASTS: Final = ("T1", "T2", "PD", "FLAIR")


def publish_landmarks(
    state: dict[str, Any], out: Path, data: Path, facts: dict[str, str], tell: Callable[[str], None]
) -> None:
    """Calibrate on the validation subjects, judge on the test subjects, write the folder.

    `facts` are version, data_name, data_licence and data_source for the card.
    """
    networks = {view: LandmarkNetwork(view) for view in GRAPHS.values()}
    for view, network in networks.items():
        network.load_state_dict(state[view])
        network.eval()
    infer = (inferring(networks["far"], "far"), inferring(networks["near"], "near"))
    stripper, made = regions(infer, data, template_from(data), tell)
    figures = figures_of(infer, data, made)
    tell(", ".join(f"{name} {value}" for name, value in figures.items()))
    export_landmarks(networks, as_json(made), stripper, out, _facts(state, out.name, facts, figures))


def regions(
    infer: tuple[Infer, Infer], data: Path, template: Template, tell: Callable[[str], None]
) -> tuple[Stripper, Template]:
    """What finds the brain alone, and the template with it, limits and regions that the validation subjects ask for."""
    stripper = learned(infer, data, template)
    template = replace(template, stripper=stripper)
    factors, plausible = judged_by(infer, data, template)
    made = replace(template, factors=factors, plausible=plausible)
    tell(f"a head from a probability of {plausible:.3f} on")
    made = calibrated(meet(infer, data, made), made)
    said = zip(made.names, made.factors.tolist(), made.trust.tolist(), strict=True)
    tell("factors and trust " + ", ".join(f"{name} {value:.2f} {trust:.2f}" for name, value, trust in said))
    return stripper, wide_enough(placed(infer, data, made), made)


def _facts(state: dict[str, Any], name: str, facts: dict[str, str], figures: Mapping[str, float | str]) -> Facts:
    training = {
        "data": [{"name": facts["data_name"], "licence": facts["data_licence"], "source": facts["data_source"]}],
        "split": SPLIT,
        "supervision": "supervised",
        "recipe": f"train-landmarks, {state['scouts']} scouts, {state['near_plan']['steps']} steps near",
        "seed": state["near_plan"]["seed"],
        "commit": state["commit"],
        "minutes": round(state["minutes"], 1),
        "device": "cpu",
    }
    ranges = Ranges()
    spans = {
        "acceleration": (1.0, 4.0),
        "coils": (1.0, 64.0),
        "matrix": (40.0, 96.0),
        "snr": ranges.snr,
        "calibration_lines": (0.0, 64.0),
    }
    made = {key: list(span) for key, span in spans.items()} | {"contrast": list(CONTRASTS)}
    return Facts(name, facts["version"], SUMMARY, made, training, figures, OUTSIDE)


def inferring(network: LandmarkNetwork, view: str) -> Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]:
    """A network as an engine runs it."""
    import torch

    answer = Answer(network, view).eval()

    def infer(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            made = answer(torch.from_numpy(tensors["seen"]))
        return {name: part.numpy() for name, part in zip(("place", "off", "present", "plausible"), made, strict=True)}

    return infer


def looked(infer: tuple[Infer, Infer], data: Path, template: Template, split: str) -> list[tuple[Made, Seen | None]]:
    """Scouts of a split, good ones and bad, and what is seen in them."""
    heads = subjects(data, "validation" if split == "validation" else "test")
    kinds = [""] * HELD_OUT + [kind for kind in BAD for _ in range(BAD_SCOUTS)]
    rows = []
    for number, kind in enumerate(kinds):
        chance = np.random.default_rng([SEEDS[split], number])
        made = simulate(heads[number % len(heads)], chance, Ranges(spoilt=0.3), kind)
        rows.append((made, look(made.scout, template, *infer)))
    return rows


def judged_by(infer: tuple[Infer, Infer], data: Path, template: Template) -> tuple[NDArray[np.float64], float]:
    """Radius of each 90 % region by what is said of it, and the probability of a head that LOST good scouts miss.

    Split conformal, on the validation subjects in any contrast; `calibrated` goes on with those of acquired scouts.
    """
    rows = looked(infer, data, template, "validation")
    good = [(made, seen) for made, seen in rows if not made.bad and seen is not None]
    if not good:
        raise DataError(f"{data}: no validation scout shows the networks a head; train them longer")
    ratios = np.array([ratio_of(made, seen) for made, seen in good])
    count = np.isfinite(ratios).sum(0)
    level = np.minimum(0.9 * (1 + 1 / np.maximum(count, 1)), 1.0)
    factors = [
        float(np.quantile(column[np.isfinite(column)], share)) if share and np.isfinite(column).any() else 3.0
        for column, share in zip(ratios.T, level.tolist(), strict=True)
    ]
    scores = np.array([seen.plausible for _, seen in good])
    return np.array(factors), round(float(np.clip(np.quantile(scores, LOST), 0.2, 0.9)), 3)


def ratio_of(made: Made, seen: Seen) -> NDArray[np.float64]:
    """How far each landmark lies off by what the network says (name,); NaN where it is not there or not found."""
    off_mm = np.linalg.norm(seen.places_mm - made.places_mm, axis=1)
    return np.where(made.present & (seen.present >= PRESENT), off_mm / seen.off_mm, np.nan)


def figures_of(infer: tuple[Infer, Infer], data: Path, template: Template) -> dict[str, float | str]:
    """Errors, coverage and refusals on the test subjects, as the card has them."""
    rows = looked(infer, data, template, "test")
    good = [(made, seen) for made, seen in rows if not made.bad]
    found = [(made, seen) for made, seen in good if seen is not None and seen.plausible >= template.plausible]
    bad = [seen for made, seen in rows if made.bad]
    refused = [seen is None or seen.plausible < template.plausible for seen in bad]
    ratios = np.array([ratio_of(made, seen) for made, seen in found]) / template.factors
    errors = np.array([np.linalg.norm(seen.places_mm - made.places_mm, axis=1) for made, seen in found])
    there = np.isfinite(ratios)
    near = [n for n, name in enumerate(NAMES) if name not in EXTENT]
    inside = ratios[:, near][there[:, near]] <= 1
    figures: dict[str, float | str] = {
        "test_scouts": len(good),
        "test_median_mm": round(float(np.median(errors[:, near][there[:, near]])), 3),
        "test_p95_mm": round(float(np.quantile(errors[:, near][there[:, near]], 0.95)), 3),
        "test_coverage90": round(float(inside.mean()), 4),
        "test_taken_for_heads": round(len(found) / len(good), 4),
        "test_bad_refused": round(float(np.mean(refused)), 4),
    }
    for number, name in enumerate(NAMES):
        if there[:, number].any():
            figures[f"test_{name}_mm"] = round(float(np.median(errors[there[:, number], number])), 2)
    return figures


def template_from(data: Path) -> Template:
    """The template with the mean head of the training subjects, and nothing known yet of what is found."""
    ends = tuple(NAMES.index(name) for name in EXTENT)
    places = template_mm()
    hull = _mean_hull(data, places[list(ends)])
    heads = subjects(data, "train")
    shapes = np.array([subject.pose.to_template(subject.places_mm) for subject in heads])
    _, modes, rest = shape_modes(np.concatenate([shapes, shapes[:, list(MIRRORED)] * (-1, 1, 1)]), MODES)
    mean, laid_mm = mean_of(data)
    count = len(NAMES)
    return Template(
        anatomy="head",
        names=NAMES,
        places_mm=places,
        modes_mm=modes,
        rest_mm=rest,
        ends={"brain": ends},
        hulls={"brain": hull},
        factors=np.ones(count),
        present=PRESENT,
        plausible=0.5,
        lowest_mm=LOWEST_MM,
        mean=mean,
        laid_mm=np.round(laid_mm, 2),
        trust=np.ones(count),
        errors_mm2=np.eye(3 * count),
        doubts={},
        planes={},
        plane=tuple(NAMES.index(name) for name in PLANE),
        line=(NAMES.index("pc"), NAMES.index("ac")),
        stripper=None,
        taught_mm=np.zeros((count, 3)),
    )


def _mean_hull(data: Path, ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outermost points (n, 3) of brains stretched to end at the same places, mean over subjects."""
    hulls = []
    for subject in subjects(data, "train"):
        voxels = np.argwhere(subject.brain > 0) @ subject.affine[:3, :3].T + subject.affine[:3, 3]
        points = subject.pose.to_template(voxels)
        own = extents(points)
        for axis in range(3):
            low, high = sorted((2 * axis, 2 * axis + 1), key=lambda n: own[n, axis])
            share = (points[:, axis] - own[low, axis]) / (own[high, axis] - own[low, axis])
            points[:, axis] = ends[low, axis] + share * (ends[high, axis] - ends[low, axis])
        hulls.append(outermost(points, HULL, every=True))
    return np.asarray(np.round(np.mean(np.array(hulls), axis=0), 1), np.float64)


def as_json(template: Template) -> dict[str, Any]:
    """What template.json says."""
    names = template.names
    return {
        "anatomy": template.anatomy,
        "places": {name: np.round(place, 2).tolist() for name, place in zip(names, template.places_mm, strict=True)},
        "factors": {name: round(float(value), 3) for name, value in zip(names, template.factors, strict=True)},
        "modes": np.round(template.modes_mm, 3).tolist(),
        "rest_mm": round(template.rest_mm, 3),
        "ends": {surface: [names[n] for n in numbers] for surface, numbers in template.ends.items()},
        "present": template.present,
        "plausible": template.plausible,
        "lowest_mm": template.lowest_mm,
        "laid": {name: np.round(place, 2).tolist() for name, place in zip(names, template.laid_mm, strict=True)},
        "taught": {name: off.tolist() for name, off in zip(names, template.taught_mm, strict=True) if off.any()},
        "trust": {name: round(float(share), 3) for name, share in zip(names, template.trust, strict=True)},
        "errors_mm2": np.round(template.errors_mm2, 3).tolist(),
        "doubts": {kind: [round(value, 3) for value in pair] for kind, pair in template.doubts.items()},
        "planes": {kind: {plan: [*pair] for plan, pair in plans.items()} for kind, plans in template.planes.items()},
        "plane": [names[n] for n in template.plane],
        "line": [names[n] for n in template.line],
        "hulls": {surface: points.tolist() for surface, points in template.hulls.items()},
    }
