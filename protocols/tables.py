"""The tables of a scan protocol, as frozen values."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from protocols.limits import QualityLimit
from protocols.match import Match
from protocols.simulate import Simulate

__all__ = ["Chain", "Document", "Engines", "ScanProtocol"]

Json: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Chain(_Table):
    """The [chain] table: nodes in the order in which data flows, and what each is told."""

    order: Annotated[tuple[str, ...], Field(min_length=1, description='["whiten", "accumulate", …]')]
    parameters: Mapping[str, Mapping[str, Json]]

    @model_validator(mode="before")
    @classmethod
    def _split(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        rest = {key: value for key, value in table.items() if key != "order"}
        wrong = [key for key, value in rest.items() if not isinstance(value, dict)]
        if wrong:
            raise ValueError(
                f"got {wrong[0]} = {rest[wrong[0]]!r}, wanted a table [chain.{wrong[0]}] or the key 'order'"
            )
        order = table.get("order")
        read = {} if order is None else {"order": tuple(order) if isinstance(order, list) else order}
        return {**read, "parameters": rest}

    @field_validator("order")
    @classmethod
    def _once(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({node for node in order if order.count(node) > 1})
        if twice:
            raise ValueError(f"got {', '.join(twice)} more than once, wanted each node once")
        return order

    @property
    def nodes(self) -> tuple[tuple[str, Mapping[str, Json]], ...]:
        """Name and parameters of each node, in order."""
        return tuple((node, self.parameters.get(node, {})) for node in self.order)


class Engines(_Table):
    """The [engines] table: networks by the name of the node that borrows them, and what may run them."""

    models: Annotated[Mapping[str, str], Field(description="node = 'model name', or a folder")] = Field(
        default_factory=dict
    )
    backends: Annotated[
        tuple[Literal["auto", "reference", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"], ...],
        Field(min_length=1, description="allowed, the first that is usable is taken; auto takes the fastest"),
    ] = ("auto",)
    emit: Annotated[
        Literal["network", "both"],
        Field(description="the network image in place of the linear one, or behind it as a series of its own"),
    ] = "network"
    on_unusable: Annotated[
        Literal["linear", "refuse"], Field(description="no backend or model: the linear image with a flag, or no scan")
    ] = "linear"


class Document(_Table):
    """What the file says, table by table."""

    name: Annotated[str, Field(description="the file's name without .toml")]
    title: Annotated[str, Field(description="one line for people")]
    match: Annotated[Match | None, Field(description="headers it is for; absent: chosen by name only")] = None
    chain: Annotated[Chain, Field(description="a table [chain] with 'order'")]
    engines: Engines = Engines()
    limits: Mapping[str, QualityLimit] = Field(default_factory=dict)
    deadlines: Annotated[
        Mapping[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(description="milliseconds a stage")
    ] = Field(default_factory=dict)
    simulate: Annotated[Simulate | None, Field(description="the sequence hw_sim plays")] = None


class ScanProtocol(Document):
    """One scan protocol as it was read, with the hash of its text."""

    hash: str  # sha256 of the text, hexadecimal
    where: str  # file, or the message it came in

    @property
    def short_hash(self) -> str:
        """The first twelve digits, as they are shown and stamped."""
        return self.hash[:12]

    def limit_id(self, key: str) -> str:
        """Which limit of which file, for flags: '<hash>:<key>'."""
        return f"{self.short_hash}:{key}"
