"""card.toml of a model folder: what the network is, what it takes and gives, and what it was made for.

Everything that a user, a server or a regulator asks about a network stands in this one file; the signature covers it,
and it covers every other file by its SHA-256.
"""

import sys
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engines.errors import ModelError
from protocols.problems import Problem, from_pydantic

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Card", "Dimension", "Graph", "Port", "Range", "SelfTest", "Source", "Training", "parse_card"]

Dimension: TypeAlias = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^(\d+\*)?[a-z]+(/\d+)?$")]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="small letters, digits, _ . -")]
Span: TypeAlias = Annotated[tuple[float, float], Field(description="[smallest, largest]")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Port(_Table):
    """One input or output of a graph; a dimension is a number, a symbol, or a symbol times or over a number."""

    shape: Annotated[tuple[Dimension, ...], Field(description='for example ["frame", 2, "y", "x"]')]
    meaning: Annotated[str, Field(description="one line for people")]
    unit: Annotated[str, Field(description="for example 'sigma', '1' for a plain number")]
    type: Literal["float32"] = "float32"
    tensor: Annotated[
        str | None, Field(min_length=1, description="its name in the graph that this one is cut out of")
    ] = None


class Graph(_Table):
    """One ONNX file, NAME.onnx under [graphs.NAME]; or a part of another one's, cut out at tensors by their names."""

    of: Annotated[str | None, Field(description="name of the graph that it is cut out of; absent: a file")] = None
    inputs: Annotated[Mapping[str, Port], Field(description="a table for every input", min_length=1)]
    outputs: Annotated[Mapping[str, Port], Field(description="a table for every output", min_length=1)]

    @model_validator(mode="after")
    def _tensors_of_another(self) -> "Graph":
        named = [name for name, port in {**self.inputs, **self.outputs}.items() if port.tensor is not None]
        if named and self.of is None:
            raise ValueError(
                f"got a tensor for the port {named[0]} of a graph with a file, wanted `of` with it, or none"
            )
        return self


class Range(_Table):
    """What the network was trained for; outside it the linear image goes out, and a flag says why."""

    acceleration: Annotated[Span, Field(description="R, [smallest, largest]")]
    coils: Annotated[Span, Field(description="number of receive coils, [smallest, largest]")]
    matrix: Annotated[Span, Field(description="lines and columns of the whole image, [smallest, largest]")]
    snr: Annotated[Span, Field(description="median of the image inside the object in sigma, [smallest, largest]")]
    calibration_lines: Annotated[Span, Field(description="[smallest, largest]")]
    contrast: Annotated[tuple[str, ...], Field(description='for example ["T1", "T2"]')]

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        spans = {"acceleration", "coils", "matrix", "snr", "calibration_lines"}
        wrong = [name for name in sorted(spans) if getattr(self, name)[0] > getattr(self, name)[1]]
        if wrong:
            raise ValueError(f"got {wrong[0]} = {list(getattr(self, wrong[0]))}, wanted [smallest, largest]")
        return self


class Source(_Table):
    """A set of training data."""

    name: str
    licence: str
    source: Annotated[str, Field(description="address or citation")] = ""


class Training(_Table):
    """Where the weights come from, so that somebody can make them again."""

    data: Annotated[tuple[Source, ...], Field(description="a table [[training.data]] with name and licence")]
    split: Annotated[str, Field(description="which part trained, which chose, which tested")]
    supervision: Literal["supervised", "ssdu", "noise2noise", "none"]
    recipe: Annotated[str, Field(description="name of the recipe")]
    seed: int
    commit: Annotated[str, Field(description="commit of Scanside that trained it")]
    minutes: Annotated[float, Field(ge=0, description="how long it trained")]
    device: Annotated[str, Field(description="what it trained on")]


class SelfTest(_Table):
    """Largest relative error |got - wanted| / |wanted| (2-norm of an output) against vectors.npz at load."""

    single: Annotated[float, Field(gt=0, lt=1, description="for 32-bit arithmetic")] = 1e-3
    half: Annotated[float, Field(gt=0, lt=1, description="for 16-bit arithmetic")] = 5e-2


class Card(_Table):
    """The whole card."""

    name: Annotated[Name, Field(description="the folder's name")]
    version: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$", description="for example '1.0'")]
    task: Annotated[Literal["unrolled", "artefacts", "landmarks"], Field(description="what the chain uses it for")]
    summary: Annotated[str, Field(description="one line for people")]
    strength: Annotated[
        float, Field(gt=0, description="lambda of the inverse is (strength * share of lines / level of signal)^2")
    ] = 1.0  # for a task that has no inverse
    multiple: Annotated[int, Field(ge=1, description="what y and x must be multiples of")]
    opset: Annotated[int, Field(ge=1, description="opset of every ONNX file here")]
    precisions: Annotated[
        tuple[Literal["single", "bf16", "fp16"], ...],
        Field(min_length=1, description="arithmetic whose image quality was verified"),
    ] = ("single",)
    files: Annotated[Mapping[str, Sha256], Field(description="SHA-256 of every other file")]
    graphs: Annotated[Mapping[Name, Graph], Field(description="a table [graphs.NAME] for every graph", min_length=1)]
    range: Annotated[Range, Field(description="a table [range]")]
    training: Annotated[Training, Field(description="a table [training]")]
    figures: Annotated[Mapping[str, float | str], Field(description="figures on the test split")]
    outside: Annotated[str, Field(description="what happens outside the range")]
    selftest: SelfTest = SelfTest()

    @model_validator(mode="after")
    def _strength_of_inverse(self) -> "Card":
        if self.task == "unrolled" and "strength" not in self.model_fields_set:
            raise ValueError('got no strength, wanted one with task = "unrolled"')
        return self

    @model_validator(mode="after")
    def _cut_out_of_files(self) -> "Card":
        files = [name for name, graph in self.graphs.items() if graph.of is None]
        for name, graph in self.graphs.items():
            if graph.of is not None and graph.of not in files:
                raise ValueError(f"got of = {graph.of!r} for the graph {name}, wanted {' or '.join(files) or 'a file'}")
        return self

    @model_validator(mode="after")
    def _files_of_graphs(self) -> "Card":
        needed = ["vectors.npz", *(f"{name}.onnx" for name, graph in self.graphs.items() if graph.of is None)]
        lost = [file for file in needed if file not in self.files]
        if lost:
            raise ValueError(f"got no SHA-256 of {', '.join(lost)} under [files], wanted one of every file")
        odd = [file for file in self.files if "/" in file or "\\" in file or file.startswith(".")]
        if odd:
            raise ValueError(f"got the file {odd[0]!r} under [files], wanted plain names in the model's own folder")
        return self


def parse_card(text: str, where: str) -> Card:
    """Read a card; raises ModelError with one line for each problem: file, line, key, what came, what was wanted."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{where}: not TOML: {error}") from error
    try:
        return Card.model_validate(document)
    except ValidationError as error:
        problems: list[Problem] = from_pydantic(error.errors(), Card, document, text, where)
        raise ModelError("\n".join(map(str, problems))) from error
