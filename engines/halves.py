"""Two halves of one job on two cores, where there is a core to spare."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from typing import TypeVar

__all__ = ["both", "each", "together"]

Given = TypeVar("Given")
Made = TypeVar("Made")


def both(first: Callable[[], None], second: Callable[[], None], workers: Executor | None = None) -> None:
    """Do both, the second one in a worker if one is free; nobody waits for a worker that is busy with something else.

    Raises what either of them raises, when neither runs any more: they may write to memory of the caller's.
    """
    if workers is None:
        first()
        second()
        return
    helper = workers.submit(second)
    try:
        first()
    finally:
        if not helper.cancel():
            wait([helper])
    if helper.cancelled():
        second()
    else:
        helper.result()


def together(
    first: Callable[[], Given], second: Callable[[], Made], workers: Executor | None = None
) -> tuple[Given, Made]:
    """What both make, the second one in a worker if one is free."""
    one: list[Given] = []
    other: list[Made] = []
    both(lambda: one.append(first()), lambda: other.append(second()), workers)
    return one[0], other[0]


def each(make: Callable[[Given], Made], given: Sequence[Given], workers: Executor | None = None) -> list[Made]:
    """Make something of each, the second half in a worker if one is free."""
    middle = (len(given) + 1) // 2
    first: list[Made] = []
    second: list[Made] = []
    both(
        lambda: first.extend(map(make, given[:middle])),
        lambda: second.extend(map(make, given[middle:])),
        workers,
    )
    return first + second
