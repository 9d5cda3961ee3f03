"""One step: gradients of several setups at once, a thread and a core for each."""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from engines.memory import keep_memory
from trt_build.training.batch import Batch
from trt_build.training.loss import image_loss, pinball, withheld_loss
from trt_build.training.networks import predict
from trt_build.training.recipe import Recipe

__all__ = ["Gradients", "one_thread"]


def one_thread() -> None:
    """Let every thread use one core, and keep the memory of a step for the next.

    Small operations over two cores waited for each other, a quarter of the time; page faults were half of it, and one
    thread's at a time.
    """
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)
    keep_memory()


class Gradients:
    """Computes loss and gradients of pieces; on a CPU each piece in a thread of its own that uses one core.

    One operation over all cores waits at every barrier for the core that simulates; this does not, and the sum is the
    same whatever the number of cores.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, device: torch.device, supervision: str) -> None:
        self.network, self.recipe, self.device = network, recipe, device
        self.withheld = supervision == "ssdu"
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        threads = recipe.setups_per_step if device.type == "cpu" else 1
        self.pool = ThreadPoolExecutor(threads, "step", torch.set_num_threads, (1,))

    def step(self, pieces: tuple[Batch, ...]) -> float:
        """Leave the mean gradient in the parameters; the mean loss."""
        done = list(self.pool.map(self._piece, pieces))
        for parameter, *parts in zip(self.parameters, *(gradients for _, gradients in done), strict=True):
            parameter.grad = sum(parts[1:], parts[0]) / len(parts)
        return sum(loss for loss, _ in done) / len(done)

    def _piece(self, piece: Batch) -> tuple[float, tuple[Tensor, ...]]:
        batch = piece.to(self.device)
        image, bound = predict(self.network, batch, half=self.recipe.half)
        if self.withheld:
            loss = withheld_loss(image, batch)
        else:
            loss = image_loss(image, batch.target, batch.inside, self.recipe.ssim)
        shown = loss.item()
        if bound is not None:
            loss = loss + 0.1 * pinball(bound, image, batch.target, batch.inside)
        return shown, torch.autograd.grad(loss, self.parameters, allow_unused=False)
