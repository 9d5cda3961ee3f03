"""Two halves of one job on two cores, where there is a core to spare."""

from collections.abc import Callable
from concurrent.futures import Executor

__all__ = ["both"]


def both(first: Callable[[], None], second: Callable[[], None], workers: Executor | None = None) -> None:
    """Do both, the second one in a worker if one is free; nobody waits for a worker that is busy with something else.

    Raises what either of them raises.
    """
    helper = None if workers is None else workers.submit(second)
    first()
    if helper is None or helper.cancel():
        second()
    else:
        helper.result()
