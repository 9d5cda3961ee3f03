"""The networks that can be trained, and what each is handed of a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from trt_build.networks.unet import UNet, UNetShape
from trt_build.networks.unrolled import Unrolled, UnrolledShape
from trt_build.networks.varnet import VarNet, VarNetShape
from trt_build.training.batch import Batch
from trt_build.training.loss import magnitude
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
    if name == "varnet":
        return VarNet(VarNetShape(**shape))  # type: ignore[arg-type]
    raise RecipeError(f"no network {name!r}; wanted unrolled, unet or varnet")


def predict(network: nn.Module, batch: Batch, *, half: bool) -> tuple[Tensor, Tensor | None]:
    """Image (frame, 2, y, x), and the bound on its error (frame, 1, y, x) from networks that give one."""
    if isinstance(network, Unrolled):
        network.mixed = half
        image, error = network(batch.normal, batch.inverse, batch.scan, batch.noise)
        return image, error
    with torch.autocast(batch.normal.device.type, torch.bfloat16, enabled=half):
        if isinstance(network, VarNet):
            return _variational(network, batch), None
        return network(batch.normal, batch.inverse, batch.scan).float(), None


def _variational(network: VarNet, batch: Batch) -> Tensor:
    """Its magnitude on the planes (frame, 2, y, x), with the phase of the target, as it gives none."""
    if batch.coil_lines is None or batch.calibration is None:
        raise RecipeError("network 'varnet' works on coils: got setups without their lines; add with_kspace to [data]")
    calibration = torch.zeros_like(batch.coil_lines[0])
    calibration[:, batch.first_line : batch.first_line + batch.calibration.shape[1]] = batch.calibration
    image = network(batch.coil_lines, batch.acquired, calibration).float()
    rows, columns = batch.normal.shape[2:]
    inside = image[:, batch.first_row : batch.first_row + rows]
    inside = F.pad(inside, (0, columns - inside.shape[2], 0, rows - inside.shape[1]))[:, None]
    return inside * batch.target / magnitude(batch.target)
