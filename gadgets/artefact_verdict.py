"""What a network finds in an image that has left, and in the linear one behind it; flags for what breaks a limit."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.artefacts.findings import Finding, findings
from engines.artefacts.plain import plain
from engines.artefacts.planes import planes_of
from engines.errors import EngineError
from gadgets.context import Context
from gadgets.image_verdict import quality_of, series_of, where_of
from gadgets.lend import Loan, Opened
from gadgets.raw_verdict import verdict
from protocols.events import Flag, Quality, Severity
from protocols.messages import Image
from protocols.scan import Encoding

__all__ = ["CODE", "WORDS", "Examiner"]

CODE: Final = "artefacts"
TASK: Final = "artefacts"
OPENING_S: Final = 20.0  # how long the first image's opinion waits for the network to be opened
PATIENCE_MS: Final = 1000.0  # for an answer, where the scan protocol has no [deadlines] artefacts
ALIKE: Final = 0.02  # share that the size of a pixel may change from the encoded to the image's matrix
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {  # what is seen, what to do
        "motion": ("the patient moved", "repeat it"),
        "noise": ("too much noise", "check coil and prescan, and repeat it"),
        "ghosting": ("ghosts", "look for pulsation and unstable gradients, and repeat it"),
        "wrap": ("the object wraps around", "enlarge the field of view along phase encoding, and repeat it"),
        "spike": ("stripes by spikes", "look for loose metal and dry air, and repeat it"),
        "zipper": ("a line of interference", "close the door, look for devices in the room, and repeat it"),
        "blurring": ("blurred", "check matrix, shim and motion, and repeat it"),
        "aliasing": ("folds are left over", "repeat it together with its calibration lines"),
    }
)
Answers = tuple[Finding, ...]


@dataclass(slots=True)
class Examiner:
    """Asks the network about the images of one scan; when it cannot, that is said once, and nobody is asked again."""

    context: Context
    loan: Loan
    _said: set[str] = field(default_factory=set)
    _given_up: bool = False

    def examine(self, image: Image) -> Iterator[Quality | Flag]:
        """What is found, as figures and as flags; UNKNOWN where the network fails or was not made for the image."""
        series = series_of(image)
        if "error map" in series or self._given_up:
            return
        opened = self.loan.wait(OPENING_S)
        wrong = opened if isinstance(opened, str) else self._outside(image, opened)
        if wrong or isinstance(opened, str):
            self._given_up = isinstance(opened, str)
            yield from self._unknown(image, wrong, opened)
            return
        assert image.phased is not None  # noqa: S101
        try:
            own = self._ask(opened, image.phased)
            linear = None if image.behind is None else self._ask(opened, image.behind())
        except EngineError as error:
            self._given_up = True
            yield from self._unknown(image, f"the network failed: {error}", opened)
            return
        yield _event(image, self.context, own, linear)
        for number, found in enumerate(own):
            behind = None if linear is None or "network" in series else linear[number]
            yield from self._flag(image, opened, found, behind)

    def missed(self, image: Image) -> Iterator[Flag]:
        """There was no time for an image."""
        yield from self._unknown(image, "there was no time, or no way, to judge this", self.loan.state())

    def _ask(self, opened: Opened, phased: NDArray[np.complex64]) -> Answers:
        """Show the network a complex image (1, y, x); raises EngineError, also when its time has passed."""
        seen = phased[0]
        began = time.perf_counter()
        patience_s = self.context.protocol.deadlines.get(CODE, PATIENCE_MS) / 1e3
        answer = self.loan.run(opened.whole, dict(planes_of(seen)), patience_s)
        found = findings(answer, (int(seen.shape[0]), int(seen.shape[1])))
        self.context.took(CODE, (time.perf_counter() - began) * 1e3)
        return found

    def _outside(self, image: Image, opened: Opened) -> str:
        """Why the network was not made for this image; empty where it was."""
        card, encoding = opened.model.card, self.context.scan.encodings[0]
        if card.task != TASK:
            return f"{card.name} is a model for the task {card.task!r}, wanted {TASK!r}"
        least, most = card.range.matrix
        slabs, *sides = image.pixels.shape[1:]
        if slabs > 1 or not all(least <= side <= most for side in sides):
            return f"the image is {' x '.join(map(str, image.pixels.shape[1:]))}, made for 2-D, {least:g} to {most:g}"
        low, high = card.range.acceleration
        acceleration = float(np.prod(encoding.acceleration))
        if not low <= acceleration <= high:
            return f"R = {acceleration:g}, made for {low:g} to {high:g}"
        if not all(map(_not_interpolated, *_pixel_mm(encoding))):
            return "its pixels are interpolated, and the network knows those that were measured"
        return _unlike_a_head(image.pixels[0, 0]) or _without_phase(image.phased)

    def _unknown(self, image: Image, why: str, opened: Opened | str) -> Iterator[Flag]:
        if CODE in self._said:
            return
        self._said.add(CODE)
        where = where_of(image)
        text = f"no opinion on artefacts of slice {where['slice']}: {why}"
        known = opened.model.hash if isinstance(opened, Opened) else ""
        advice = "look for artefacts yourself"
        yield self.context.flag(CODE, Severity.UNKNOWN, text, evidence=where, advice=advice, model_hash=known)

    def _flag(self, image: Image, opened: Opened, own: Finding, behind: Finding | None) -> Iterator[Flag]:
        """The image's own finding where it breaks its limit, else that of the linear image behind it."""
        code = f"artefact_{own.artefact}"
        limit = self.context.protocol.limits.get(code)
        if limit is None:
            return
        found, before = own, ""
        if behind is not None and not limit.judge(own.probability).broken:
            found, before = behind, "the linear image behind the network's: "
        severity = limit.judge(found.probability)
        if severity is Severity.PASS or (severity is Severity.UNKNOWN and code in self._said):
            return
        self._said.add(code)
        yield self._told(image, opened, found, before)

    def _told(self, image: Image, opened: Opened, found: Finding, before: str) -> Flag:
        where, (words, advice) = where_of(image), WORDS[found.artefact]
        text = f"{before}slice {where['slice']}: {words}, with a probability of {found.probability:.3f}"
        evidence: dict[str, Any] = {
            **where,
            "region": list(found.region),
            "severity_percent": round(found.severity, 1),
            **({"judged": "linear"} if before else {}),
        }
        return verdict(
            self.context,
            f"artefact_{found.artefact}",
            found.probability,
            text,
            "1",
            evidence=evidence,
            advice=f"slice {where['slice']}: {words}; {advice}",
            model_hash=opened.model.hash,
        )


def _event(image: Image, context: Context, own: Answers, linear: Answers | None) -> Quality:
    """Probabilities and severities; of a network's image those of the linear one behind it, and the difference."""
    figures: dict[str, float | None] = {}
    for number, found in enumerate(own):
        name = f"artefact_{found.artefact}"
        figures |= {name: found.probability, f"{name}_severity": found.severity}
        if linear is not None:
            behind = linear[number].probability
            figures |= {f"{name}_linear": behind, f"{name}_difference": found.probability - behind}
    rounded = {name: None if value is None else round(value, 4) for name, value in figures.items()}
    return quality_of(image, context, rounded, {name: "%" if name.endswith("_severity") else "1" for name in figures})


def _pixel_mm(encoding: Encoding) -> tuple[tuple[float, float], tuple[float, float]]:
    """Size of a pixel (x, y) as it was measured, and as it is in the image."""
    measured, shown = (
        (fov[0] / matrix[0], fov[1] / matrix[1])
        for fov, matrix in (
            (encoding.encoded_fov_mm, encoding.encoded_matrix),
            (encoding.recon_fov_mm, encoding.recon_matrix),
        )
    )
    return measured, shown


def _unlike_a_head(pixels: NDArray[np.generic]) -> str:
    """What tells an image (y, x) from all that the network was shown; empty where nothing does."""
    if not pixels.any():
        return "the image is empty"
    seen = plain(np.abs(pixels))
    if seen is not None and seen.too_plain:
        return f"it is even inside ({seen.change:.1%} from pixel to pixel) as phantoms are, and made for heads"
    return ""


def _without_phase(phased: NDArray[np.complex64] | None) -> str:
    """What keeps an image from being asked for its phase; empty where nothing does."""
    if phased is None or not phased.imag.any():
        return "it has no phase, by which the network tells motion"
    return ""


def _not_interpolated(measured_mm: float, shown_mm: float) -> bool:
    return measured_mm <= 0 or abs(shown_mm / measured_mm - 1) <= ALIKE
