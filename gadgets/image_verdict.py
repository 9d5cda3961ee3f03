"""What is said of an image that has left: its figures, and a flag for each that the scan protocol limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.quality.image import UNITS, Measured, Shown, measure
from gadgets.context import Context
from gadgets.raw_verdict import verdict
from protocols.events import Flag, Quality, Severity
from protocols.messages import Image

__all__ = ["Critic", "quality_of", "series_of", "where_of"]

ALWAYS: Final = ("snr",)  # flagged without a limit, too
NOT_SHOWN: Final = "error map"  # a series that shows no patient
KEPT_MM: Final = 0.5  # of the encoded field of view that a scanner may round away
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "snr": ("SNR", "check coil and prescan, or raise the number of averages"),
        "snr_total": ("mean by spread of two tissues", "look for noise and motion"),
        "snrd": ("signal by noise of the air", "check coil and prescan, or raise the number of averages"),
        "cnr": ("contrast by noise of two tissues", "look for noise and motion, and check the sequence's timing"),
        "cjv": ("spread by contrast of two tissues", "look for noise and motion"),
        "efc": ("entropy of the image", "look for motion, and repeat the slice"),
        "fber": ("energy of the object by that of the air", "look for ghosts and interference"),
        "qi_1": ("share of the air that is no noise", "look for ghosts and interference"),
        "gsr": ("ghost by signal", "look for motion, pulsation and unstable gradients, and repeat the slice"),
        "fwhm_x": ("smoothness along the readout", "look for motion, and check the matrix"),
        "fwhm_y": ("smoothness along phase encoding", "look for motion, and check the matrix"),
        "edge_signal": ("signal at the edge of the field of view", "enlarge it along phase encoding, or oversample"),
        "falloff": ("fall-off of brightness", "check that all coils are plugged in and close to the patient"),
        "voids": ("voids in the object", "look for metal, and check the shim"),
    }
)


@dataclass(slots=True)
class Critic:
    """Judges the images of one scan; what it cannot tell of a figure it says once."""

    context: Context
    _said: set[str] = field(default_factory=set)

    def judge(self, image: Image) -> Iterator[Quality | Flag]:
        """The figures of an image, then its flags; nothing of an error map.

        A network's image is judged together with the linear image behind it, so that it hides no artefact: their
        figures and differences stand beside its own, and a limit that only the linear one breaks is broken. Where the
        linear image was sent, too, it has flags of its own.
        """
        series = series_of(image)
        if NOT_SHOWN in series:
            return
        own = measure(self._shown(image, image.pixels))
        linear = None if image.companion is None else measure(self._shown(image, image.companion()))
        yield _event(image, self.context, own, linear)
        for code in UNITS:
            if code in ALWAYS or code in self.context.protocol.limits:
                yield from self._flag(image, code, own, None if "network" in series else linear)

    def _shown(self, image: Image, pixels: NDArray[np.generic]) -> Shown:
        middle = np.abs(pixels[0, pixels.shape[1] // 2]).astype(np.float32, copy=False)
        rows, columns = middle.shape
        across, along, _ = image.header["field_of_view"].tolist()
        encoding = self.context.scan.encodings[0]
        cut = encoding.recon_fov_mm[1] < encoding.encoded_fov_mm[1] - KEPT_MM
        return Shown(middle, image.noise_std, (along / rows, across / columns), cut)

    def _flag(self, image: Image, code: str, own: Measured, linear: Measured | None) -> Iterator[Flag]:
        flag = self._of(image, code, own, "")
        if linear is not None and not flag.severity.broken:
            behind = self._of(image, code, linear, "the linear image behind the network's: ")
            flag = behind if behind.severity.broken else flag
        if flag.severity is not Severity.UNKNOWN or code not in self._said:
            yield flag
        if flag.severity is Severity.UNKNOWN:
            self._said.add(code)

    def _of(self, image: Image, code: str, measured: Measured, before: str) -> Flag:
        """Judge one figure of one image."""
        words, advice = WORDS[code]
        where, score = where_of(image), measured.figures[code]
        basis = f" ({measured.noise_from})" if code == "snr" else ""
        unit = "" if UNITS[code] == "1" else f" {UNITS[code]}"
        said = f"cannot be told{_why(measured, code)}" if score is None else f"is {score:.3g}{unit}{basis}"
        text = f"{before}{words} in slice {where['slice']} {said}"
        evidence: dict[str, object] = {**where, **({"judged": "linear"} if before else {})}
        foretold = self._foretold(where["slice"]) if code == "edge_signal" else None
        if foretold is not None:
            text += f"; in the scout the head reached {foretold:.0f} mm beyond the field of view"
            evidence["foretold_mm"] = foretold
        return verdict(self.context, code, score, text, UNITS[code], evidence=evidence, advice=advice)

    def _foretold(self, slice_: int) -> float | None:
        """How far (mm) the scout's head reached beyond this slice, where `wrap` has warned of it."""
        warned = (flag for flag in self.context.raised[:] if flag.code == "wrap")
        return next((flag.score for flag in warned if flag.evidence.get("slice") == slice_), None)


def series_of(image: Image) -> Sequence[str]:
    """What an image accompanies the scan's own images with: nothing, or network | linear | error map."""
    return image.meta.get("ImageProcessingHistory", ())[2:]  # behind Scanside and the scan protocol


def where_of(image: Image) -> dict[str, int]:
    """Which image of the scan it is."""
    names = {"slice": "slice", "contrast": "contrast", "repetition": "repetition", "image": "image_index"}
    return {name: int(image.header[field]) for name, field in names.items()}


def quality_of(
    image: Image,
    context: Context,
    figures: dict[str, float | None],
    units: dict[str, str],
    unknown: dict[str, str] | None = None,
) -> Quality:
    """Make the event that tells the figures of an image."""
    header = image.header
    return Quality(
        session=context.session,
        protocol=context.protocol.name,
        series=int(header["image_series_index"]),
        index=int(header["image_index"]),
        slice=int(header["slice"]),
        contrast=int(header["contrast"]),
        repetition=int(header["repetition"]),
        engine=str(image.meta.get("Scanside.Engine", "")),
        figures=figures,
        units=units,
        unknown=unknown or {},
    )


def _why(measured: Measured, code: str) -> str:
    reason = measured.unknown.get(code, "")
    return f": {reason}" if reason else ""


def _event(image: Image, context: Context, own: Measured, linear: Measured | None) -> Quality:
    figures, units, unknown = dict(own.figures), dict(UNITS), dict(own.unknown)
    if linear is not None:
        for name, unit in UNITS.items():
            ours, theirs = own.figures[name], linear.figures[name]
            units |= {f"{name}_linear": unit, f"{name}_difference": unit}
            figures[f"{name}_linear"] = theirs
            figures[f"{name}_difference"] = None if ours is None or theirs is None else ours - theirs
            if theirs is None:
                unknown[f"{name}_linear"] = linear.unknown[name]
            if figures[f"{name}_difference"] is None:
                unknown[f"{name}_difference"] = own.unknown.get(name, "") or linear.unknown[name]
    return quality_of(image, context, figures, units, unknown)
