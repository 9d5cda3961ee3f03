"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["DATA", "AllowUnsigned"]

DATA = Path("../shared/data")
AllowUnsigned: TypeAlias = Annotated[bool, typer.Option(help="Take a model that nobody signed.")]
