"""A TOML file as a model of what it should hold, or every problem of it at once."""

import sys
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from protocols.problems import Problem, ProtocolError, from_pydantic

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["read_document"]

M = TypeVar("M", bound=BaseModel)


def read_document(path: Path, model: type[M]) -> tuple[M, str]:
    """What a file holds, and its text; raises ProtocolError with every problem found."""
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProtocolError([Problem(where, "", f"cannot be read: {error}")]) from error
    try:
        return model.model_validate(document), text
    except ValidationError as error:
        raise ProtocolError(from_pydantic(error.errors(), model, document, text, where)) from error
