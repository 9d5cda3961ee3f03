"""`scanside-build verify`: whether every backend makes the same images, by quality and not by tensors alone.

The truth is ONNX Runtime in single precision. Candidates run over the model's test vectors and over simulated scans
whose noise-free image is known; PSNR and SSIM inside the object may differ from the truth's by 0.05 dB and 5e-4, the
probability of an artefact by 0.01, the place of a landmark by 0.1 mm. What
fails is refused from then on: no plan of it is kept or made (engines/plans.py). The graphs of a network in parts are
judged together, by the image that they make.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from engines.backends.interface import Backend, Job, Opened
from engines.engine import BACKENDS, job_of
from engines.errors import EngineError, ModelError
from engines.model import CARD, Model, load_model
from engines.plans import Plans
from engines.selftest import relative_error, self_test
from engines.signing import SIGNATURE
from engines.unrolled.problem import apply_inverse
from trt_build.artefacts.verify import LARGEST, known_images
from trt_build.data.recipe import Recipe
from trt_build.data.setup import Setup
from trt_build.data.validation import validation_setups
from trt_build.data.volumes import Source
from trt_build.in_parts import made_in_parts
from trt_build.landmarks.verify import LARGEST_MM, known_views
from trt_build.report.metrics import Quality, quality

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["LARGEST_DB", "LARGEST_SSIM", "TRUTH", "Verdict", "known_scans", "record", "verify"]

TRUTH: Final = "onnxruntime"
LARGEST_DB, LARGEST_SSIM = 0.05, 5e-4
PRECISIONS: Final = ("single", "bf16", "fp16")
LIMITS: Final = {"probability": LARGEST, "place": LARGEST_MM}  # output -> largest difference
Tensors = Mapping[str, NDArray[Any]]
Make = Callable[[Tensors], Tensors]
Known = Setup | Mapping[str, Tensors]  # what every graph is shown
CASCADE: Final = "cascade_"  # graphs of a network in parts begin so, see engines/unrolled/bridge.py


class _Scan(NamedTuple):
    tensors: dict[str, NDArray[Any]]
    truth: NDArray[np.float32]  # (y, x) magnitude without noise
    inside: NDArray[np.bool_]  # (y, x)
    wanted: Quality  # of the truth's image
    image: NDArray[np.float32]


class _Shown(NamedTuple):
    tensors: Tensors
    port: str  # the output that is compared
    wanted: NDArray[np.float32]  # by the truth


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one backend makes in one kind of arithmetic."""

    graph: str  # several: the first and the last
    backend: str
    version: str
    precision: str
    vectors: float  # largest relative error
    images: float  # largest relative error, or largest difference of a probability or place by what it may be
    psnr_db: float  # largest difference of any image
    ssim: float
    wrong: str  # empty where it passed


def known_scans(source: Source | None, model: Model, phantoms: int = 2) -> Iterator[Known]:
    """Simulated scans at R = 4 and 8: a slice of each subject, and phantoms; images or scouts for other tasks."""
    if model.card.task == "artefacts":
        return known_images(source)
    if model.card.task == "landmarks":
        return known_views()
    recipe = Recipe(strength=model.card.strength)
    return validation_setups(source, recipe, (4, 8), frames=1, phantoms=phantoms)


def verify(
    model: Model,
    setups: Iterator[Known],
    plans: Plans,
    backends: Sequence[str] = (),
) -> Iterator[Verdict]:
    """Judge every graph in every backend that works here, or those named, in every precision that it has.

    Raises EngineError where the truth cannot be computed, or a backend that was named does not work.
    """
    lost = _module(TRUTH).missing()
    if lost is not None:
        raise EngineError(f"{TRUTH}, which is the truth here: {lost}")
    known, names = list(setups), list(_candidates(backends))
    for graphs in _apart(model):
        jobs = {graph: replace(job_of(model, graph), precisions=("single",)) for graph in graphs}
        with _opened(TRUTH, jobs) as opened:
            for graph, one in opened.items():
                self_test(one.infer, model, graph, "single")
            scans = [scan for setup in known for scan in _scans(graphs[0], _made_by(opened, model), setup)]
        for name in names:
            for precision in PRECISIONS:
                asked = {graph: replace(job, precisions=(precision,)) for graph, job in jobs.items()}
                yield from _judged(name, model, asked, scans, plans)


def _apart(model: Model) -> list[tuple[str, ...]]:
    """Graphs that make an image, or whatever the model makes, together."""
    parts = tuple(sorted(graph for graph in model.card.graphs if graph.startswith(CASCADE)))
    return [*((graph,) for graph in model.card.graphs if graph not in parts), *([parts] if parts else [])]


def _candidates(backends: Sequence[str]) -> Iterator[str]:
    """Backends to be judged; raises EngineError where one that was named does not work here."""
    for name in backends or [name for name in BACKENDS if name not in (TRUTH, "reference")]:
        reason = _module(name).missing()
        if reason is None:
            yield name
        elif backends:
            raise EngineError(f"{name}: {reason}")


@contextmanager
def _opened(name: str, jobs: Mapping[str, Job]) -> Iterator[dict[str, Opened]]:
    """By graph."""
    with ExitStack() as stack:
        yield {graph: stack.enter_context(_module(name).open_graph(job)) for graph, job in jobs.items()}


def _made_by(opened: Mapping[str, Opened], model: Model) -> Make:
    """What a graph, or a network in parts, makes of the tensors of one scan."""
    first, parts = next(iter(opened)), [one.infer for one in opened.values()]
    if not first.startswith(CASCADE):
        return parts[0]
    return partial(made_in_parts, parts, int(model.graph(first).inputs["hidden"].shape[1]))


def record(folder: Path, precisions: Sequence[str]) -> None:
    """Write the precisions that passed into the card, and remove the signature, which no longer fits."""
    import tomli_w

    card = tomllib.loads((folder / CARD).read_text(encoding="utf-8"))
    card["precisions"] = [precision for precision in PRECISIONS if precision in {"single", *precisions}]
    tables = {key: value for key, value in card.items() if isinstance(value, dict)}
    try:
        text = tomli_w.dumps({key: value for key, value in card.items() if key not in tables} | tables)
        _replace(folder / CARD, text)
        (folder / SIGNATURE).unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"{folder}: the card cannot be written: {error.strerror}") from error
    load_model(folder, allow_unsigned=True)


def _replace(path: Path, text: str) -> None:
    """Write beside a file and take its place, so that a full disk leaves what was there."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _module(name: str) -> Backend:
    if name not in BACKENDS:
        raise EngineError(f"no backend {name!r}; wanted {', '.join(BACKENDS)}")
    return cast("Backend", import_module(BACKENDS[name]))


def _scans(graph: str, make: Make, setup: Known) -> Iterator[_Scan | _Shown]:
    if isinstance(setup, Mapping):
        made = make(setup[graph])
        port = next(port for port in LIMITS if port in made)
        yield _Shown(setup[graph], port, made[port])
        return
    inside = setup.inside > 0
    for normal, target in zip(setup.normal, setup.target, strict=True):
        start = apply_inverse(setup.inverse, normal)[None]
        tensors = {"start": start, "normal": normal[None], "inverse": setup.inverse}
        tensors |= {"scan": setup.scan, "noise": setup.noise}
        image, truth = make(tensors)["image"], np.hypot(target[0], target[1])
        yield _Scan(tensors, truth, inside, quality(np.hypot(*image[0]), truth, inside), image)


def _judged(
    name: str, model: Model, jobs: Mapping[str, Job], scans: Sequence[_Scan | _Shown], plans: Plans
) -> Iterator[Verdict]:
    (precision,) = next(iter(jobs.values())).precisions
    try:
        with _opened(name, jobs) as opened:
            if any(one.precision != precision for one in opened.values()):
                return
            verdict = _compared(name, opened, model, scans)
            keys = [one.key for one in opened.values()]
    except EngineError as error:
        if precision == "single":
            unknown = float("nan")
            yield Verdict(_named(list(jobs)), name, "", precision, unknown, unknown, unknown, unknown, str(error))
        return
    for key in keys:
        if verdict.wrong:
            plans.refuse(key, verdict.wrong)
        else:
            plans.accept(key)
    yield verdict


def _named(graphs: Sequence[str]) -> str:
    return graphs[0] if len(graphs) == 1 else f"{graphs[0]}-{graphs[-1].removeprefix(CASCADE)}"


def _compared(name: str, opened: Mapping[str, Opened], model: Model, scans: Sequence[_Scan | _Shown]) -> Verdict:
    vectors = images = psnr_db = ssim = largest = 0.0
    for graph, one in opened.items():
        for given, wanted in model.cases(graph).values():
            got = one.infer(given)
            vectors = max(vectors, *(relative_error(got[port], value) for port, value in wanted.items()))
    make, first = _made_by(opened, model), next(iter(opened.values()))
    for scan in scans:
        if isinstance(scan, _Shown):
            off = _off(make(scan.tensors)[scan.port], scan.wanted)
            images = largest = max(largest, off / LIMITS[scan.port])
            continue
        image = make(scan.tensors)["image"]
        images = max(images, relative_error(image, scan.image))
        if not np.isfinite(image).all():
            psnr_db = ssim = float("inf")
            continue
        got_quality = quality(np.hypot(*image[0]), scan.truth, scan.inside)
        psnr_db = max(psnr_db, abs(got_quality.psnr_db - scan.wanted.psnr_db))
        ssim = max(ssim, abs(got_quality.ssim - scan.wanted.ssim))
    limits = model.card.selftest
    tolerance = limits.single if first.precision == "single" else limits.half
    wrong = [
        f"{what} {got:.2g}, wanted at most {limit:g}"
        for what, got, limit in (
            ("relative error of the test vectors", vectors, tolerance),
            ("difference of PSNR in dB", psnr_db, LARGEST_DB),
            ("difference of SSIM", ssim, LARGEST_SSIM),
            ("difference of a probability or place by what it may be", largest, 1.0),
        )
        if not got <= limit
    ]
    graph, told = _named(list(opened)), "; ".join(wrong)
    return Verdict(graph, name, first.version, first.precision, vectors, images, psnr_db, ssim, told)


def _off(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    return float(np.abs(got - wanted).max()) if np.isfinite(got).all() else float("inf")
