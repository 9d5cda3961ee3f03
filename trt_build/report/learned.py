"""Networks straight from a checkpoint of `scanside-build train`: the peers, or ours before it is exported."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.unrolled.prepared import make_ready, prepare
from engines.unrolled.problem import normal_image, whole_image
from engines.unrolled.strength import scan_of
from trt_build.report.cases import Case
from trt_build.report.errors import ReportError
from trt_build.report.methods import Drawn, Method, network, timed

__all__ = ["trained"]

NETWORKS: Final = {"network": "unrolled", "unet": "unet", "varnet": "varnet"}  # key of the method -> of the recipe


def trained(key: str, path: Path) -> Method:
    """The network of a checkpoint as the method `key`; raises ReportError for another network's."""
    import torch

    from trt_build.training.networks import network_of
    from trt_build.training.recipe import Recipe

    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        recipe = Recipe.model_validate(state["recipe"])
        weights = state["average"]
    except Exception as error:  # whatever the unpickler meets in a file that is none of ours
        raise ReportError(f"{path}: not a checkpoint of scanside-build train ({error})") from error
    if recipe.network != NETWORKS[key]:
        raise ReportError(f"{path}: got a checkpoint of the network {recipe.network!r}, wanted {NETWORKS[key]!r}")
    made = network_of(recipe)
    made.load_state_dict(weights)
    return DRAWS[key](made.eval())


def _unrolled(made: Any) -> Method:
    import torch

    def infer(inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            image, error = made(*(torch.tensor(inputs[name]) for name in ("normal", "inverse", "scan", "noise")))
        return {"image": image.numpy(), "error": error.numpy()}

    return network(infer, made.shape.strength)


def _unet(made: Any) -> Method:
    import torch

    def draw(case: Case) -> Drawn:
        prepared = prepare(case.calibration, case.acquired, made.shape.strength)
        make_ready(prepared)
        problem = prepared.problem
        assert problem is not None  # noqa: S101 (nobody cancels it)
        inverse, scan = torch.tensor(problem.inverse), torch.from_numpy(scan_of(problem))

        def image() -> NDArray[np.complex64]:
            with torch.inference_mode():
                planes = made(torch.from_numpy(normal_image(problem, case.hybrid)), inverse, scan)
            return whole_image(problem, planes[0].numpy())

        return timed(image)

    return Method("unet", draw)


def _varnet(made: Any) -> Method:
    import torch

    def draw(case: Case) -> Drawn:
        known = case.calibration
        calibration = np.zeros_like(case.hybrid)
        calibration[:, known.first_line : known.first_line + known.lines.shape[1]] = known.lines
        tensors = [torch.from_numpy(a) for a in (case.hybrid[None], case.acquired, calibration)]

        def image() -> NDArray[np.float32]:
            with torch.inference_mode():
                return made(*tensors)[0].numpy()

        return timed(image)

    return Method("varnet", draw)


DRAWS: Final[Mapping[str, Callable[[Any], Method]]] = {"network": _unrolled, "unet": _unet, "varnet": _varnet}
