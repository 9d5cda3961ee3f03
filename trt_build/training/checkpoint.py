"""A training on disk: written atomically, refused when it is another one's."""

import os
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from trt_build.training.recipe import Recipe

__all__ = ["FREE", "CheckpointError", "begin", "load", "save", "weights", "write"]

FREE: Final = ("minutes", "validate_every")  # what may differ between the two halves of a training


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or used; the message names the file, what is wrong and what helps."""


def save(path: Path, recipe: Recipe, supervision: str, state: dict[str, Any]) -> None:
    """Write what a training can go on from; raises CheckpointError as write does."""
    write(path, {"recipe": recipe.model_dump(), "supervision": supervision, **state}, "then --resume")


def write(path: Path, state: dict[str, Any], then: str = "then start again") -> None:
    """Write beside the old one and take its place; raises CheckpointError, the old one intact, when that fails."""
    part = path.with_name(path.name + ".part")
    try:
        torch.save(state, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        kept = "the one before is intact" if path.exists() else "there is none yet"
        raise CheckpointError(
            f"{path}: the checkpoint could not be written ({error}); {kept}. Make room, {then}"
        ) from error


def load(path: Path, recipe: Recipe, supervision: str) -> dict[str, Any]:
    """Read a checkpoint of this very training. Raises CheckpointError for another one's."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no checkpoint; start without --resume") from error
    except Exception as error:
        raise CheckpointError(f"{path}: not a checkpoint of scanside-build train ({error})") from error
    was, now = dict(state.get("recipe", {})), recipe.model_dump()
    was["supervision"], now["supervision"] = state.get("supervision"), supervision
    for key in sorted({*was, *now} - set(FREE)):
        if was.get(key) != now.get(key):
            raise CheckpointError(
                f"{path}: a checkpoint of another training: {key} was {was.get(key)!r}, is {now.get(key)!r} now; "
                f"name another --out, or start without --resume"
            )
    return state


def weights(path: Path) -> dict[str, Any]:
    """Read the checkpoint of any training. Raises CheckpointError for what is none."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        _ = state["recipe"], state["average"], state["minutes"]
    except Exception as error:  # whatever the unpickler meets in a file that is none of ours
        raise CheckpointError(f"{path}: not a checkpoint of scanside-build train ({error})") from error
    return state


def begin(network: nn.Module, begun: dict[str, Any], recipe: Recipe, path: Path) -> None:
    """Give a network the weights that `weights` read from a file. Raises CheckpointError for another network's."""
    try:
        network.load_state_dict(begun["average"])
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path}: a checkpoint of another network: got {_named(begun['recipe'])}, wanted "
            f"{_named(recipe.model_dump())}; name another --start, or the --recipe that it was trained with"
        ) from error


def _named(recipe: dict[str, Any]) -> str:
    shape = ", ".join(f"{key} {value}" for key, value in sorted(recipe["shape"].items()))
    return f"{recipe['network']} ({shape or 'of the usual shape'})"
