"""A setup as tensors: what goes from the workers that simulate to the network that learns."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trt_build.data.setup import Setup

__all__ = ["Batch", "batch_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames of one strip, shapes as in trt_build/data/setup.py; what the supervision or network lacks is None."""

    inverse: Tensor
    scan: Tensor
    noise: Tensor
    normal: Tensor
    target: Tensor
    inside: Tensor
    acquired: Tensor
    loss_lines: Tensor | None = None
    loss_maps: Tensor | None = None
    loss_transform: Tensor | None = None
    coil_lines: Tensor | None = None
    calibration: Tensor | None = None
    first_line: int = 0
    first_row: int = 0

    def frames(self, start: int, stop: int) -> "Batch":
        """Some of the frames."""
        part: dict[str, Any] = {
            name: getattr(self, name)[start:stop]
            for name in ("normal", "target", "loss_lines", "coil_lines")
            if getattr(self, name) is not None
        }
        return replace(self, **part)

    def turned(self, angle: float) -> "Batch":
        """The same scan with another phase (rad) of the receiver: b, target and lines turn together."""
        cosine, sine = math.cos(angle), math.sin(angle)
        turned: dict[str, Any] = {
            name: torch.stack((cosine * re - sine * im, sine * re + cosine * im), 1)
            for name in ("normal", "target")
            for re, im in (getattr(self, name).unbind(1),)
        }
        for name in ("loss_lines", "coil_lines", "calibration"):
            if getattr(self, name) is not None:
                turned[name] = getattr(self, name) * complex(cosine, sine)
        return replace(self, **turned)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        moved: dict[str, Any] = {
            field.name: tensor.to(device, non_blocking=True)
            for field in fields(self)
            if isinstance(tensor := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)


def batch_of(setup: Setup) -> Batch:
    """Wrap a setup's arrays as tensors, without copies."""
    loss, coils = setup.loss, setup.coils
    return Batch(
        inverse=_tensor(setup.inverse),
        scan=_tensor(setup.scan),
        noise=_tensor(setup.noise),
        normal=_tensor(setup.normal),
        target=_tensor(setup.target),
        inside=_tensor(setup.inside),
        acquired=_tensor(setup.acquired),
        loss_lines=None if loss is None else _tensor(loss.lines),
        loss_maps=None if loss is None else _tensor(loss.maps),
        loss_transform=None if loss is None else _tensor(loss.transform),
        coil_lines=None if coils is None else _tensor(coils.lines),
        calibration=None if coils is None else _tensor(coils.calibration),
        first_line=0 if coils is None else coils.first_line,
        first_row=0 if coils is None else coils.first_row,
    )


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
