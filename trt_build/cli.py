"""The command line of the builder: what it can build with here."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import typer

from trt_build.driver import driver

__all__ = ["app"]

PARTS = {  # module -> (distribution, what it is for, how to get it)
    "torch": ("torch", "training and export", "pip install 'scanside[build]'"),
    "onnx": ("onnx", "the exchange format between them", "pip install 'scanside[build]'"),
    "onnxruntime": ("onnxruntime", "running networks on the CPU, the truth that plans are verified against", ""),
    "tensorrt": ("tensorrt", "compiling plans for the GPU at hand", "pip install 'scanside[gpu]'"),
}

app = typer.Typer(
    name="scanside-build",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Make the networks that the plugin runs: the only place that sees torch.

    The plugin reconstructs without any network, so there is nothing to build yet. To come, in the order of a network's
    life: train, export (torch to ONNX), compile (ONNX to a TensorRT plan), verify (the plan against the same ONNX on
    the CPU), sign. None of these commands exists before it works.

    \b
    scanside-build info      what could be built with, on this machine
    """,
)


@app.callback()
def _main() -> None:
    """Keep `info` a command of its own, however few there are."""


@app.command()
def info() -> None:
    """Say which libraries for training, exporting and compiling are here, and whether a GPU's driver is."""
    for module, (distribution, purpose, how) in PARTS.items():
        typer.echo(f"{module:<12} {_release(module, distribution) or 'not here'}: {purpose}" + _hint(module, how))
    typer.echo(f"{'GPU driver':<12} {driver()}")


def _release(module: str, distribution: str) -> str | None:
    """Version of what is installed, found without importing it."""
    if find_spec(module) is None:
        return None
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"


def _hint(module: str, how: str) -> str:
    return f" ({how})" if how and find_spec(module) is None else ""
