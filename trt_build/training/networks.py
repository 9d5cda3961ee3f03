"""The networks that can be trained, and what each is handed of a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trt_build.networks.unet import UNet, UNetShape
from trt_build.networks.unrolled import Unrolled, UnrolledShape
from trt_build.training.batch import Batch
from trt_build.training.recipe import Recipe, RecipeError

__all__ = ["network_of", "predict"]


def network_of(recipe: Recipe) -> nn.Module:
    """Make an untrained network. Raises RecipeError for a shape that it does not take."""
    try:
        return _network(recipe.network, recipe.shape)
    except TypeError as error:
        raise RecipeError(f"[shape] of network {recipe.network!r}: {error}") from error


def _network(name: str, shape: Mapping[str, float]) -> nn.Module:
    if name == "unrolled":
        return Unrolled(UnrolledShape(**shape))  # type: ignore[arg-type]
    if name == "unet":
        return UNet(UNetShape(**shape))  # type: ignore[arg-type]
    raise RecipeError(f"network {name!r} cannot be trained yet; wanted unrolled or unet")


def predict(network: nn.Module, batch: Batch, *, half: bool) -> tuple[Tensor, Tensor | None]:
    """Image (frame, 2, y, x), and the bound on its error (frame, 1, y, x) from networks that give one."""
    if isinstance(network, Unrolled):
        network.mixed = half
        image, error = network(batch.normal, batch.inverse)
        return image, error
    with torch.autocast(batch.normal.device.type, torch.bfloat16, enabled=half):
        return network(batch.normal, batch.inverse).float(), None
