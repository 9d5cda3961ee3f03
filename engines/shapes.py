"""Whether tensors fit the ports of a graph: names, types, and dimensions that must agree with one another."""

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from engines.card import Port
from engines.errors import EngineError

__all__ = ["check", "shape_of"]

_TERM = re.compile(r"(?:(\d+)\*)?([a-z]+)(?:/(\d+))?")


def check(where: str, ports: Mapping[str, Port], tensors: Mapping[str, NDArray[Any]], multiple: int = 1) -> None:
    """Raise EngineError unless tensors fit the ports; y and x must be multiples of `multiple`, group x alias = y x."""
    lost, odd = sorted(set(ports) - set(tensors)), sorted(set(tensors) - set(ports))
    if lost or odd:
        raise EngineError(f"{where}: got {', '.join(tensors) or 'no tensor'}; wanted {', '.join(ports)}")
    sizes: dict[str, int] = {}
    for name, port in ports.items():
        got = tensors[name]
        if got.dtype != port.type or got.ndim != len(port.shape):
            raise EngineError(f"{where}, {name!r}: got {_told(got)}, wanted {_wanted(port)}")
        sizes.update({d: n for d, n in zip(port.shape, got.shape, strict=True) if isinstance(d, str) and d.isalpha()})
    for name, port in ports.items():
        if tensors[name].shape != shape_of(port, sizes):
            given = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
            raise EngineError(f"{where}, {name!r}: got {_told(tensors[name])}, wanted {_wanted(port)} with {given}")
    _whole(where, sizes, multiple)


def shape_of(port: Port, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Shape of a port for given sizes of its symbols; raises EngineError for a symbol without a size."""
    return tuple(d if isinstance(d, int) else _size(d, sizes) for d in port.shape)


def _size(dimension: str, sizes: Mapping[str, int]) -> int:
    term = _TERM.fullmatch(dimension)
    if term is None or term[2] not in sizes:
        raise EngineError(f"got no size of {dimension!r}, wanted one of every symbol; known: {', '.join(sizes)}")
    return int(term[1] or 1) * sizes[term[2]] // int(term[3] or 1)


def _whole(where: str, sizes: Mapping[str, int], multiple: int) -> None:
    bad = {symbol: size for symbol, size in sizes.items() if symbol in ("y", "x") and (size % multiple or not size)}
    if bad:
        given = ", ".join(f"{symbol} = {size}" for symbol, size in bad.items())
        raise EngineError(f"{where}: got {given}, wanted multiples of {multiple}; pad the image with zeros")
    if {"group", "alias", "y", "x"} <= set(sizes) and sizes["group"] * sizes["alias"] != sizes["y"] * sizes["x"]:
        raise EngineError(
            f"{where}: got {sizes['group']} groups of {sizes['alias']} pixels for {sizes['y']} x {sizes['x']} pixels, "
            "wanted every pixel in one group"
        )


def _told(tensor: NDArray[Any]) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"


def _wanted(port: Port) -> str:
    return f"{port.type} ({', '.join(map(str, port.shape))})"
