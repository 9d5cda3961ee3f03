"""What `scanside-build export` does: a checkpoint becomes a model folder, with a bound that holds and its figures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import torch
import typer

from engines.errors import ModelError
from trt_build.artefacts.publish import publish_artefacts
from trt_build.data.errors import DataError
from trt_build.data.recipe import Recipe as DataRecipe
from trt_build.data.validation import validation_setups
from trt_build.data.volumes import Split, open_source
from trt_build.export import ExportError, Facts
from trt_build.landmarks.publish import publish_landmarks
from trt_build.networks.export import export_network
from trt_build.networks.unrolled import Unrolled
from trt_build.training.batch import Batch, batch_of
from trt_build.training.checkpoint import FREE, CheckpointError
from trt_build.training.networks import network_of
from trt_build.training.recipe import RECIPES, Recipe, RecipeError, read_recipe
from trt_build.training.validate import conformal_factor, judge, linear_figures

__all__ = ["Options", "publish", "run"]

CALIBRATED: Final = (2, 3, 4, 6, 8)  # accelerations that the bound must hold for, each by itself
SEEDS: Final = {"validation": 11, "test": 12}
CONTRASTS: Final = ("T1", "T2", "PD", "FLAIR")
OUTSIDE: Final = "the linear image goes out, with a flag that says which figure is outside the range"
SUMMARY: Final = "2-D Cartesian, undersampled along the phase encoding: {cascades} CNNs and exact data consistency"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    checkpoint: Path
    out: Path
    folder: Path
    version: str = "1.0"
    data_name: str = "a folder of NIfTI volumes"
    data_licence: str = "not stated"
    data_source: str = ""


def run(options: Options) -> None:
    """Export, and say where; what cannot be done is one line and exit code 1."""
    try:
        publish(options, typer.echo)
    except (CheckpointError, DataError, ExportError, ModelError, OSError, RecipeError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem


def publish(options: Options, tell: Callable[[str], None]) -> None:
    """Calibrate on the validation subjects, judge on the test subjects, write the folder."""
    state = _read(options.checkpoint)
    if state.get("task") == "artefacts":
        facts = {name: getattr(options, name) for name in ("version", "data_name", "data_licence", "data_source")}
        publish_artefacts(state, options.out, options.folder, options.checkpoint.parent, facts, tell)
        tell(_written(options.out))
        return
    if state.get("task") == "landmarks":
        facts = {name: getattr(options, name) for name in ("version", "data_name", "data_licence", "data_source")}
        publish_landmarks(state, options.out, options.folder, facts, tell)
        tell(_written(options.out))
        return
    recipe = Recipe.model_validate(state["recipe"])
    network = network_of(recipe)
    if not isinstance(network, Unrolled):
        raise RecipeError(
            f"{options.checkpoint}: got the network {recipe.network!r}, wanted unrolled: peers are not shipped"
        )
    network.load_state_dict(state["average"])
    factors = _calibrate(network.eval(), options.folder, recipe)
    told = ", ".join(f"{factor:.3f} at R = {acceleration}" for acceleration, factor in factors.items())
    tell(f"bound times {told}, so that it holds for nine pixels of ten on the validation subjects")
    figures = _figures(network, options.folder, recipe)
    tell(", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    figures |= {f"bound_factor_r{acceleration}": round(factor, 4) for acceleration, factor in factors.items()}
    export_network(network, options.out, _facts(options, state, recipe, figures))
    tell(_written(options.out))


def _written(folder: Path) -> str:
    return f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB, unsigned"


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        _ = state.get("task") or (state["recipe"], state["average"])
    except Exception as error:  # whatever the unpickler meets in a file that is none of ours
        raise CheckpointError(f"{path}: not a checkpoint of scanside-build train ({error})") from error
    return state


def _slices(folder: Path, recipe: Recipe, split: Split, accelerations: tuple[int, ...]) -> Iterator[Batch]:
    """Whole slices of one split's subjects, one at a time: each holds 60 MB."""
    source = open_source(folder, split, recipe.seed)
    ranges = replace(recipe.setups(), supervision="supervised", with_kspace=False, sharpened=0.0)
    for setup in validation_setups(source, ranges, accelerations, SEEDS[split], phantoms=0):
        yield batch_of(setup)


def _calibrate(network: Unrolled, folder: Path, recipe: Recipe) -> dict[int, float]:
    """Make the bound hold at every acceleration, by the share of lines that it comes with; gives the factors by R."""
    factors: dict[int, float] = {}
    by_share: dict[float, float] = {}
    for acceleration in CALIBRATED:
        slices = list(_slices(folder, recipe, "validation", (acceleration,)))
        factors[acceleration] = conformal_factor(network, slices)
        by_share[fmean(float(batch.scan[1]) for batch in slices)] = factors[acceleration]
    shares = sorted(by_share)
    network.bound.calibrate(shares, [by_share[share] for share in shares])
    return factors


def _figures(network: Unrolled, folder: Path, recipe: Recipe) -> dict[str, float | str]:
    figures: dict[str, float | str] = {}
    shares: list[float] = []
    for acceleration in CALIBRATED:
        slices = list(_slices(folder, recipe, "test", (acceleration,)))
        psnr, ssim = linear_figures(slices)
        judged = judge(network, slices)
        shares.append(judged.coverage)
        made = {"psnr_db": judged.psnr_db, "ssim": judged.ssim, "coverage": judged.coverage}
        made |= {"start_psnr_db": psnr, "start_ssim": ssim}
        figures |= {f"test_r{acceleration}_{key}": round(value, 4) for key, value in made.items()}
    return figures | {"test_coverage": round(sum(shares) / len(shares), 4)}


def _facts(options: Options, state: dict[str, Any], recipe: Recipe, figures: dict[str, float | str]) -> Facts:
    ranges: DataRecipe = recipe.setups()
    spans = {
        "acceleration": ranges.acceleration,
        "coils": ranges.coils,
        "matrix": ranges.lines,
        "snr": ranges.snr,
        "calibration_lines": ranges.calibration,
    }
    source = {"name": options.data_name, "licence": options.data_licence, "source": options.data_source}
    earlier = state.get("earlier", 0.0)
    training = {
        "data": [source],
        "split": "by subject: training for the weights, validation to watch and for the bound, test for the figures",
        "supervision": state["supervision"],
        "recipe": _name_of(recipe) + (f", on weights of {earlier:.0f} minutes of another" if earlier else ""),
        "seed": recipe.seed,
        "commit": state.get("commit", "unknown"),
        "minutes": round(state["minutes"] + earlier, 1),
        "device": state.get("device", "cpu"),
    }
    return Facts(
        name=options.out.name,
        version=options.version,
        summary=SUMMARY.format(cascades=int(recipe.shape.get("cascades", 4))),
        range={key: list(span) for key, span in spans.items()} | {"contrast": list(CONTRASTS)},
        training=training,
        figures=figures,
        outside=OUTSIDE,
    )


def _name_of(recipe: Recipe) -> str:
    """Name of the recipe that comes with Scanside and says the same."""
    free = set(FREE)
    for path in sorted(RECIPES.glob("*.toml")):
        if read_recipe(path).model_dump(exclude=free) == recipe.model_dump(exclude=free):
            return path.stem
    return "one of its own"
