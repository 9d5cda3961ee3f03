"""A model folder whose networks stay: mean head, regions, limits and figures made anew; to be signed again.

python -m trt_build.landmarks.refresh engines/zoo/head_landmarks ../shared/data/heads
python -m trt_build.landmarks.refresh engines/zoo/head_landmarks ../shared/data/heads --planes    # their regions alone
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import tomli_w
import tomllib

from engines.card import parse_card
from engines.engine import open_engine
from engines.model import CARD, Model, load_model
from engines.positioning.find import Infer
from engines.positioning.template import FILE, template_of
from trt_build.landmarks.export import files_of, written
from trt_build.landmarks.planes import placed, wide_enough
from trt_build.landmarks.publish import as_json, figures_of, regions, template_from

__all__ = ["refresh", "refresh_planes"]


def refresh(folder: Path, data: Path) -> None:
    """Write template, mean head, brain and card of a folder; what template_from raises, EngineError for networks."""
    content = (folder / CARD).read_bytes()
    model = Model(folder, parse_card(content.decode(), str(folder / CARD)), hashlib.sha256(content).hexdigest(), None)
    with _opened(model) as (far, near):
        before, first = template_of(model), template_from(data)
        kept = replace(first, plausible=before.plausible, taught_mm=before.taught_mm)
        stripper, made = regions((far, near), data, kept, print)
        figures = figures_of((far, near), data, made)
    _write(folder, files_of(as_json(made), stripper), figures)


def refresh_planes(folder: Path, data: Path) -> None:
    """Write template and card of a folder with new factors on the regions of plans; raises what load_model does."""
    model = load_model(folder, allow_unsigned=True)
    template = template_of(model)
    with _opened(model) as infer:
        made = wide_enough(placed(infer, data, template), template)
    _write(folder, {FILE: written(as_json(made))}, {})


@contextmanager
def _opened(model: Model) -> Iterator[tuple[Infer, Infer]]:
    far, near = (open_engine(model, "openvino", graph=graph, threads=1) for graph in ("model", "near"))
    with far as far_infer, near as near_infer:
        yield far_infer, near_infer


def _write(folder: Path, files: Mapping[str, bytes], figures: Mapping[str, float | str]) -> None:
    card = tomllib.loads((folder / CARD).read_text(encoding="utf-8"))
    for name, content in files.items():
        (folder / name).write_bytes(content)
        card["files"][name] = hashlib.sha256(content).hexdigest()
    card["figures"] |= figures
    (folder / CARD).write_text(tomli_w.dumps(card), encoding="utf-8")


if __name__ == "__main__":
    (refresh_planes if "--planes" in sys.argv else refresh)(Path(sys.argv[1]), Path(sys.argv[2]))
