"""A model folder whose networks stay: mean head, regions, limits and figures made anew; to be signed again.

python -m trt_build.landmarks.refresh engines/zoo/head_landmarks ../shared/data/heads
"""

import hashlib
import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import tomli_w
import tomllib

from engines.card import parse_card
from engines.engine import open_engine
from engines.model import CARD, Model
from engines.positioning.template import FILE
from trt_build.landmarks.export import files_of
from trt_build.landmarks.publish import as_json, figures_of, regions, template_from

__all__ = ["refresh"]


def refresh(folder: Path, data: Path) -> None:
    """Write template, mean head, brain and card of a folder; what template_from raises, EngineError for networks."""
    content = (folder / CARD).read_bytes()
    model = Model(folder, parse_card(content.decode(), str(folder / CARD)), hashlib.sha256(content).hexdigest(), None)
    with ExitStack() as stack:
        far, near = (
            stack.enter_context(open_engine(model, "openvino", graph=graph, threads=1)) for graph in ("model", "near")
        )
        before = json.loads((folder / FILE).read_text())
        stripper, made = regions(
            (far, near), data, replace(template_from(data), plausible=float(before["plausible"])), print
        )
        figures = figures_of((far, near), data, made)
    card = tomllib.loads(content.decode())
    for name, written in files_of(as_json(made), stripper).items():
        (folder / name).write_bytes(written)
        card["files"][name] = hashlib.sha256(written).hexdigest()
    card["figures"] = figures
    (folder / CARD).write_text(tomli_w.dumps(card), encoding="utf-8")


if __name__ == "__main__":
    refresh(Path(sys.argv[1]), Path(sys.argv[2]))
