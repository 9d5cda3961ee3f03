"""How a network is trained: one TOML file, every number in it checked."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trt_build.data.recipe import Recipe as DataRecipe
from trt_build.training.stream import BLOCK

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["RECIPES", "Recipe", "RecipeError", "read_recipe"]

RECIPES = Path(__file__).parent.parent / "recipes"


class RecipeError(ValueError):
    """A recipe cannot be used; the message names file, key, what came and what was wanted."""


class Recipe(BaseModel):
    """One training, from the first step to the last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Literal["unrolled", "unet", "varnet"] = "unrolled"
    shape: dict[str, int | float | bool] = Field(default={}, description="what the network's shape takes")
    seed: int = 0
    steps: int = Field(ge=1, description="steps of the optimiser")
    minutes: float | None = Field(default=None, gt=0, description="stop earlier when they are over")
    setups_per_step: int = Field(default=2, ge=1)
    frames_per_setup: int = Field(default=4, ge=1, description="frames of a setup in one step")
    uses: int = Field(default=2, ge=1, description="times that each frame is learned from, in another phase")
    rate: float = Field(default=1.5e-3, gt=0, description="highest learning rate of AdamW")
    warm_up: int = Field(default=300, ge=0, description="steps until it is reached")
    decay: float = Field(default=1e-4, ge=0, description="weight decay")
    ssim: float = Field(default=0.1, ge=0, description="weight of 1 - SSIM in the loss")
    average: float = Field(default=0.999, ge=0, lt=1, description="decay of the moving average of the weights")
    half: bool = Field(default=True, description="convolutions in bfloat16")
    validate_every: int = Field(default=800, ge=1, description="steps between two looks at the validation subjects")
    data: dict[str, Any] = Field(default={}, description="ranges of trt_build/data/recipe.py that differ")

    def setups(self) -> DataRecipe:
        """Ranges of the simulated scans; the strength is that of the network's shape."""
        given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in self.data.items()}
        if "strength" in self.shape:
            given["strength"] = self.shape["strength"]
        return DataRecipe(**given)

    def setups_of(self, step: int) -> int:
        """How many setups are used up before a step; a multiple of BLOCK where a checkpoint can be."""
        per_block = self.steps_per_block()
        return step // per_block * BLOCK

    def steps_per_block(self) -> int:
        """Steps that the frames of BLOCK setups last for."""
        parts = -(-self.setups().frames // self.frames_per_setup)
        return self.uses * parts * -(-BLOCK // self.setups_per_step)


def read_recipe(path: Path, **changes: Any) -> Recipe:
    """Read a recipe; `changes` that are not None take the place of what it says. Raises RecipeError."""
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        names = ", ".join(sorted(known.stem for known in RECIPES.glob("*.toml")))
        raise RecipeError(
            f"{path}: cannot be read ({error.strerror}); recipes that come with Scanside: {names}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not TOML: {error}") from error
    document |= {key: value for key, value in changes.items() if value is not None}
    try:
        recipe = Recipe.model_validate(document)
        recipe.setups()
    except ValidationError as error:
        lines = (f"{path}: {'.'.join(map(str, e['loc']))}: got {e['input']!r}, {e['msg']}" for e in error.errors())
        raise RecipeError("\n".join(lines)) from error
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{path}: [data]: {error}; wanted {', '.join(asdict(DataRecipe()))}") from error
    return recipe
