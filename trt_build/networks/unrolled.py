"""The reconstruction network: exact data consistency and small CNNs in turn.

z = 0; then K times rho = P (b + lambda z) and z, hidden = CNN_k(rho, b, hidden), with P = (N + lambda)^-1 as an input.
P b is made once and P (lambda z) added: lambda P is at most 1, so all products but the first stand lower precision. The
image is the last z, corrected where P (b + lambda z) differs from it by more than noise (balance.py of engines), or
`consistent` P (b + lambda z) itself. The latter puts back the noise of the lines, or needs a lambda so large that the
aliasing of bright fat survives all steps. Training sees the last z; the correction has no weights.

Everything is in units of the whitened noise. lambda falls with the square of the signal (engines/unrolled/strength.py)
and so tells its level: the CNNs see images divided by it. They are told the root of lambda, which goes with the noise
in what they see, and the share of the lines that are used.
After MoDL (Aggarwal et al., IEEE TMI 2019; 38:394), with a memory between cascades as in recurrent inference machines
(Lønning et al., Med Image Anal 2019; 53:64).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from engines.unrolled.balance import WINDOW
from trt_build.networks.consistency import level, solve

__all__ = ["Cascade", "ErrorHead", "Passed", "Unrolled", "UnrolledShape", "balanced", "seen"]

TYPICAL: Final = 30.0  # level of the signal over a typical error bound


@dataclass(frozen=True, slots=True)
class UnrolledShape:
    """What makes one unrolled network another."""

    cascades: int = 4
    width: int = 32  # channels at half resolution; twice as many at a quarter
    hidden: int = 16  # channels that one cascade hands to the next
    coarse: int = 2  # residual blocks at a quarter
    strength: float = 15.0  # of the consistent step
    consistent: bool = False  # one more step of data consistency at the end


def seen(rho: Tensor) -> Tensor:
    """One where a coil sees the object (frame, 1, y, x): consistent images are zero elsewhere, and nowhere else."""
    return (rho.abs().sum(1, keepdim=True) > 0).to(rho.dtype)


def consistent(proposed: Tensor, start: Tensor, inverse: Tensor, scan: Tensor) -> Tensor:
    """P (b + lambda z) of planes z (frame, 2, y, x) and P b."""
    return start + solve(inverse, scan[0] * scan[0] * proposed)


def balanced(proposed: Tensor, nearest: Tensor, noise: Tensor) -> Tensor:
    """What engines/unrolled/balance.py says, of planes (frame, 2, y, x) that are zero outside the object."""
    objection = nearest - proposed
    power = F.avg_pool2d(objection.square().sum(1, keepdim=True), WINDOW, 1, WINDOW // 2)
    return proposed + F.relu(1 - noise / power.clamp(min=1e-6)) * objection


class Residual(nn.Module):
    """Two convolutions around an identity, which is all that they are before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Features (frame, channel, y, x) and what the convolutions add to them."""
        return features + self.second(F.relu(self.first(features)))


class Cascade(nn.Module):
    """One CNN: a residual U-Net of two levels on pixel-unshuffled planes."""

    def __init__(self, shape: UnrolledShape, *, first: bool, last: bool) -> None:
        super().__init__()
        width = shape.width
        self.strength = shape.strength
        self.head = nn.Conv2d(16 + (0 if first else shape.hidden), width, 3, padding=1)
        self.told = nn.Linear(2, width, bias=False)
        self.fine = Residual(width)
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.coarse = nn.Sequential(*(Residual(2 * width) for _ in range(shape.coarse)))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.merged = Residual(width)
        self.tail = nn.Conv2d(width, 8, 3, padding=1)
        self.carry = nn.Identity() if last else nn.Conv2d(width, shape.hidden, 1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.told.weight)

    def forward(self, rho: Tensor, normal: Tensor, scan: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Denoised planes (frame, 2, y, x) and the next hidden state (frame, channel, y / 2, x / 2)."""
        unit = level(scan, self.strength)
        seen = F.pixel_unshuffle(torch.cat((rho, normal), 1) / unit, 2)
        begun = self.head(seen if hidden is None else torch.cat((seen, hidden), 1))
        fine = self.fine(F.relu(begun + self.told(scan)[:, None, None]))
        coarse = self.coarse(F.relu(self.down(fine)))
        features = F.relu(self.merged(fine + F.pixel_shuffle(self.up(coarse), 2)))
        return rho + unit * F.pixel_shuffle(self.tail(features), 2), self.carry(features)


class ErrorHead(nn.Module):
    """The bound under which nine pixels of ten have their error, from the last features; it does not train them."""

    share: Tensor
    factor: Tensor

    def __init__(self, shape: UnrolledShape) -> None:
        super().__init__()
        self.strength = shape.strength / TYPICAL
        self.body = nn.Conv2d(shape.width, 16, 3, padding=1)
        self.tail = nn.Conv2d(16, 4, 3, padding=1)
        self.register_buffer("share", torch.tensor([0.0, 1.0]), persistent=False)
        self.register_buffer("factor", torch.ones(2), persistent=False)
        self.register_load_state_dict_pre_hook(_without_factor)  # type: ignore[no-untyped-call]

    def calibrate(self, share: Sequence[float], factor: Sequence[float]) -> None:
        """Set the conformal factor: a straight line from one share of the lines to the next, level beyond the ends.

        It is found at export, and stands in no checkpoint. Raises ValueError unless the shares rise.
        """
        if len(share) != len(factor) or len(share) < 2 or list(share) != sorted(set(share)):
            raise ValueError(
                f"bound: got the shares {list(share)}, wanted two or more that rise, and a factor for each"
            )
        self.share = torch.tensor(share, dtype=torch.float32)
        self.factor = torch.tensor(factor, dtype=torch.float32)

    def forward(self, features: Tensor, scan: Tensor) -> Tensor:
        """Bound (frame, 1, y, x) in units of the noise."""
        bound = F.softplus(F.pixel_shuffle(self.tail(F.relu(self.body(features.detach()))), 2))
        return self.factor_of(scan) * level(scan, self.strength) * bound

    def factor_of(self, scan: Tensor) -> Tensor:
        """Conformal factor () of `scan` (2,)."""
        widths, rises = self.share.diff(), self.factor.diff()
        climbed = torch.minimum(F.relu(scan[1] - self.share[:-1]), widths)
        return self.factor[0] + (climbed * (rises / widths)).sum()


def _without_factor(_: nn.Module, state: dict[str, Any], prefix: str, *__: object) -> None:
    """Let checkpoints pass that hold the factor of one, as they did when it was one for all shares."""
    state.pop(f"{prefix}factor", None)


class Passed(NamedTuple):
    """What one cascade saw, made of it and handed on, and the image after the step that follows it."""

    rho: Tensor  # (frame, 2, y, x)
    planes: Tensor  # (frame, 2, y, x), zero after the last one where no coil sees the object
    hidden: Tensor  # (frame, channel, y / 2, x / 2)
    image: Tensor  # (frame, 2, y, x)


class Unrolled(nn.Module):
    """The whole network: `normal` (frame, 2, y, x), `inverse` (group, 2 * alias, alias), `scan` (2,), `noise` (y, x).

    The last one is for the correction alone, which training leaves out.
    """

    def __init__(self, shape: UnrolledShape) -> None:
        super().__init__()
        self.shape = shape
        self.mixed = False  # CNNs in bfloat16; the consistent step stays in single precision
        last = shape.cascades - 1
        self.cascades = nn.ModuleList(Cascade(shape, first=k == 0, last=k == last) for k in range(last + 1))
        self.bound = ErrorHead(shape)

    def forward(self, normal: Tensor, inverse: Tensor, scan: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Image (frame, 2, y, x) and error (frame, 1, y, x), in units of the noise."""
        *_, last = self.passes(normal, inverse, scan, noise)
        with self._precision(normal):
            error = self.bound(last.hidden, scan)
        return last.image, error.float()

    def passes(
        self, normal: Tensor, inverse: Tensor, scan: Tensor, noise: Tensor, start: Tensor | None = None
    ) -> Iterator[Passed]:
        """One cascade after the other, from P b on; the image of the last is the network's."""
        start = solve(inverse, normal) if start is None else start
        image, hidden = start, None
        for number, cascade in enumerate(self.cascades, 1):
            rho = image
            with self._precision(normal):
                denoised, hidden = cascade(rho, normal, scan, hidden)
            planes = denoised.float()
            if number < len(self.cascades) or self.shape.consistent:
                image = consistent(planes, start, inverse, scan)
            elif self.training:
                image = planes
            else:
                planes = planes * seen(rho)
                image = balanced(planes, consistent(planes, start, inverse, scan), noise)
            yield Passed(rho, planes, hidden, image)

    def _precision(self, tensor: Tensor) -> AbstractContextManager[object]:
        return torch.autocast(tensor.device.type, torch.bfloat16) if self.mixed else nullcontext()
