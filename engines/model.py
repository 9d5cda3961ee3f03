"""A model folder, checked: card, signature, SHA-256 of every file, and that the graphs are what the card says.

engines/zoo/NAME holds the shipped ones: card.toml, signature.toml, vectors.npz and an ONNX file for each graph that is
not cut out of another one's.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.card import Card, Graph, parse_card
from engines.errors import ModelError
from engines.onnx_cut import cut_graph
from engines.onnx_file import read_onnx
from engines.signing import signer

__all__ = ["CARD", "VECTORS", "ZOO", "Model", "find_model", "load_model", "shipped"]

ZOO = Path(__file__).parent / "zoo"
CARD, VECTORS = "card.toml", "vectors.npz"
Case = tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Model:
    """A folder whose files were what its card says when it was loaded."""

    folder: Path
    card: Card
    hash: str  # SHA-256 of the card, and so of everything
    signed_by: str | None  # fingerprint of the key; None for an unsigned one that was allowed

    def read(self, file: str) -> bytes:
        """Content of a file, checked again: nothing that was changed meanwhile reaches an engine."""
        return _checked(self.folder / file, self.card.files[file])

    def graph(self, name: str) -> Graph:
        """Look up a graph's inputs and outputs by its name."""
        if name not in self.card.graphs:
            raise ModelError(f"{self.folder}: no graph {name!r}; its card has {', '.join(self.card.graphs)}")
        return self.card.graphs[name]

    def onnx(self, name: str) -> bytes:
        """ONNX file of a graph, checked as `read` does: what lies in the folder, or a part of it."""
        graph = self.graph(name)
        if graph.of is None:
            return self.read(f"{name}.onnx")
        file = f"{graph.of}.onnx"
        return cut_graph(self.read(file), graph, f"{self.folder / file}, graph {name!r}")

    def cases(self, graph: str) -> Mapping[str, Case]:
        """Test vectors of a graph: name -> inputs, wanted outputs; in the file as GRAPH/CASE/PORT."""
        where = self.folder / VECTORS
        try:
            with np.load(io.BytesIO(self.read(VECTORS)), allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files if key.startswith(f"{graph}/")}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{where}: not a file of NumPy arrays: {error}; export the model again") from error
        ports = self.graph(graph)
        names = sorted({key.split("/")[1] for key in arrays})
        if not names:
            raise ModelError(f"{where}: no test vector for {graph!r}, wanted arrays named {graph}/CASE/PORT")
        try:
            return {
                name: (
                    {port: arrays[f"{graph}/{name}/{port}"] for port in ports.inputs},
                    {port: arrays[f"{graph}/{name}/{port}"] for port in ports.outputs},
                )
                for name in names
            }
        except KeyError as error:
            raise ModelError(f"{where}: got no array {error}, wanted one for every input and output") from None


def shipped() -> Mapping[str, Path]:
    """Folders of the shipped models by name."""
    return {path.parent.name: path.parent for path in sorted(ZOO.glob(f"*/{CARD}"))}


def find_model(name: str) -> Path:
    """Folder of a model: a path to one, or the name of a shipped one; raises ModelError with the nearest name."""
    known = shipped()
    if name in known:
        return known[name]
    if (Path(name) / CARD).is_file():
        return Path(name)
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Shipped: {', '.join(known) or 'none'}."
    raise ModelError(f"no model {name!r}: neither shipped nor a folder with a {CARD}. {hint}")


def load_model(path: Path | str, *, allow_unsigned: bool = False, keys: Iterable[Path] | None = None) -> Model:
    """Read and check a model folder, or a shipped model by its name; `keys` are folders of trusted public keys.

    Raises ModelError for a damaged, altered or unsigned one, and where the graphs are not what the card says.
    `allow_unsigned` forgives a missing or foreign signature, never a file that does not match the card.
    """
    folder = find_model(path) if isinstance(path, str) else path
    try:
        content = (folder / CARD).read_bytes()
        card = parse_card(content.decode("utf-8"), str(folder / CARD))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder}: no card can be read: {error}; wanted a model folder with a {CARD}") from error
    signed_by = _signer(folder, content, keys, allow_unsigned=allow_unsigned)
    for file, wanted in card.files.items():
        _checked(folder / file, wanted)
    model = Model(folder, card, hashlib.sha256(content).hexdigest(), signed_by)
    for name in card.graphs:
        _agrees(model, name)
    return model


def _signer(folder: Path, card: bytes, keys: Iterable[Path] | None, *, allow_unsigned: bool) -> str | None:
    try:
        return signer(folder, card, keys)
    except ModelError:
        if allow_unsigned:
            return None
        raise


def _checked(path: Path, wanted: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}; the card names it, fetch the model again"
        ) from error
    got = hashlib.sha256(content).hexdigest()
    if got != wanted:
        raise ModelError(
            f"{path}: altered or damaged, got SHA-256 {got[:12]}…, the card says {wanted[:12]}…; fetch the model again"
        )
    return content


def _agrees(model: Model, name: str) -> None:
    """Raise ModelError unless the graph has the card's opset, inputs and outputs, and sound weights."""
    graph = model.graph(name)
    where = f"{model.folder / (graph.of or name)}.onnx"
    file = read_onnx(model.onnx(name), where)
    if file.opset != model.card.opset:
        raise ModelError(f"{where}: got opset {file.opset}, the card says {model.card.opset}; export it again")
    for kind, got, wanted in (("inputs", file.inputs, graph.inputs), ("outputs", file.outputs, graph.outputs)):
        if set(got) != set(wanted):
            raise ModelError(f"{where}: got the {kind} {', '.join(got)}, the card says {', '.join(wanted)}")
    if file.elsewhere:
        raise ModelError(f"{where}: weights outside the file ({file.elsewhere[0]}); export it with all weights inside")
    if file.not_finite:
        raise ModelError(f"{where}: NaN or infinity among the weights {file.not_finite[0]!r}; train or export it again")
