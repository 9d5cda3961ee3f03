"""What `scanside-build report` does: open the network, load its peers, write the report."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import typer
from threadpoolctl import threadpool_limits

from engines.engine import open_engine
from engines.errors import EngineError
from engines.model import find_model, load_model, shipped
from hw_sim.errors import SimulationError
from trt_build.report.earlier import read_earlier
from trt_build.report.errors import ReportError
from trt_build.report.learned import trained
from trt_build.report.methods import CLASSICAL, WITHHELD, Infer, Method, network, without_weights
from trt_build.report.write import Plan, write_report
from trt_build.training.checkpoint import weights

__all__ = ["Options", "report"]

PEERS: Final = ("unet", "varnet")
NEEDED: Final = ("bartorch", "matplotlib", "nibabel", "rich", "sigpy", "skimage", "torch")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    out: Path
    data: Path
    model: str | None = None  # name or folder; None: the shipped one
    backend: str = "auto"
    checkpoints: tuple[tuple[str, Path], ...] = ()  # of network (in place of a model), unet, varnet
    threads: int = 2
    quick: bool = False
    allow_unsigned: bool = False
    earlier: Path | None = None  # folder of a report: rows of methods without weights, or whose are not given, stand


def report(options: Options) -> None:
    """Write the report, show how far it is, and say what it found; what cannot be done is one line and exit code 1."""
    try:
        _complete()
        document = _report(options)
    except (EngineError, ReportError, SimulationError, OSError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem
    for key, entry in document["figures"].items():
        typer.echo(f"{key:<26} {entry['value']:+.2f} {entry['unit']}")
    typer.echo(f"{options.out / 'report.md'}")


def _complete() -> None:
    """Raise ReportError where a peer is not installed: now, not after minutes."""
    lost = [name for name in NEEDED if find_spec(name) is None]
    if lost:
        raise ReportError(f"report: {', '.join(lost)} not here; type: pip install 'scanside[bench,build]'")


def _report(options: Options) -> dict[str, Any]:
    _limit_threads(options.threads)
    given = dict(options.checkpoints)
    peers = [trained(key, given[key]) if key in given else without_weights(key) for key in PEERS]
    plan = Plan(options.data, options.quick, *(((4, 8), (20.0,)) if options.quick else ()))
    if options.earlier is not None:
        stand = (*CLASSICAL, *(key for key in PEERS if key not in given))
        plan = replace(plan, earlier=read_earlier(options.earlier, stand))
    with _network(options) as (ours, facts), threadpool_limits(options.threads), _progress() as steps:
        about = {
            **facts,
            "threads": options.threads,
            "checkpoints": {
                **({} if plan.earlier is None else plan.earlier.checkpoints),
                **{key: _trained_for(path) for key, path in given.items()},
            },
        }
        return write_report(options.out, plan, [*peers, *ours], about, steps)


def _trained_for(path: Path) -> str:
    state = weights(path)
    return f"{state['minutes'] + state.get('earlier', 0.0):.0f} minutes"


def _limit_threads(threads: int) -> None:
    import bartorch
    import torch

    torch.set_num_threads(threads)
    bartorch.set_num_threads(threads)


@contextmanager
def _network(options: Options) -> Iterator[tuple[list[Method], dict[str, Any]]]:
    """The network, with and without withheld lines, and what is to be known of it; no weights if none is shipped."""
    checkpoint = dict(options.checkpoints).get("network")
    if checkpoint is not None:
        yield [trained("network", checkpoint)], {"model": f"checkpoint {checkpoint.name}, not exported"}
        return
    name = options.model or next(iter(shipped()), None)
    if name is None:
        yield [without_weights("network")], {"model": "none is shipped"}
        return
    model = load_model(find_model(name), allow_unsigned=options.allow_unsigned)
    with open_engine(model, options.backend, threads=options.threads) as engine:
        infer: Infer = engine
        facts = {
            "model": model.card.name,
            "version": model.card.version,
            "hash": model.hash,
            "backend": f"{engine.backend} {engine.version}",
        }
        given = infer, model.card.strength, model.card.range
        yield [network(*given), network(*given, WITHHELD)], facts


@contextmanager
def _progress() -> Iterator[Callable[[str, int], Callable[[], None]]]:
    """Bars on stderr, one for each part."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def steps(what: str, count: int) -> Callable[[], None]:
            task = bars.add_task(what, total=count)
            return lambda: bars.advance(task)

        yield steps
