"""Muon for the kernels of convolutions, AdamW for the rest.

Muon gives every direction of a kernel, seen as a matrix from inputs to outputs, a step of one size: Jordan et al. 2024,
kellerjordan.github.io/posts/muon; scaled to the steps of AdamW as in Liu et al., arXiv:2502.16982.
"""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Optimiser"]


class Optimiser:
    """Both optimisers as one; a kernel (out, in, y, x) shares its memory with the matrix (out, y * x * in) of Muon."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._kernels = [parameter for parameter in trained if parameter.ndim == 4]
        self._matrices = [_matrix(kernel.data) for kernel in self._kernels]
        rest = [parameter for parameter in trained if parameter.ndim != 4]
        self._parts = (
            torch.optim.Muon(self._matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, 0.0, (0.9, 0.99), weight_decay=decay, foreach=True),
        )

    def step(self, rate: float) -> None:
        """Change the weights by their gradients."""
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            assert kernel.grad is not None  # noqa: S101
            matrix.grad = _matrix(kernel.grad)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()  # type: ignore[no-untyped-call]

    def state_dict(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps."""
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on where another one stopped."""
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)


def _matrix(kernel: Tensor) -> Tensor:
    """A kernel in memory of channels last, as a matrix."""
    return kernel.permute(0, 2, 3, 1).flatten(1)
