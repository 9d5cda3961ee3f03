"""finish: from a complex reconstruction to the image a console can show: size, scale, window, series, story."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.linear.resize import to_recon
from gadgets.context import Context
from protocols.events import Flag, Severity
from protocols.messages import Image, Message, Meta, Reconstruction, Record
from protocols.mrd import IMAGE, TYPE_OF, ImageType
from protocols.stream import Node

__all__ = ["finish"]

Pixels = Literal["uint16", "float32", "complex64"]
BRIGHTEST = 2048  # where uint16 images put the bright end of a series' first image: half of 12 bits
CLIP = 65535
SPARSE = 4  # every fourth pixel tells how bright an image is


def finish(context: Context, pixels: Pixels = "uint16") -> Node:
    """Crop and interpolate to the recon matrix, scale, and write header and meta for MRD consoles.

    All images of a series (same contrast, set and matrix) share one scale, taken from its first image: uint16 puts the
    99.9th percentile at 2048, float32 and complex64 keep the reconstruction's own units. The window is the brightest
    image's so far: a series may begin below the head. Network images that accompany a series, and linear ones, are a
    series of their own with the same scale. Rows run along phase_dir, columns along
    read_dir, position is the centre of the slice: LPS mm.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        series: dict[tuple[object, ...], _Series] = {}
        for message in messages:
            if not isinstance(message, Reconstruction):
                yield message
                continue
            started = time.perf_counter()
            image = _resized(message.pixels, context)
            idx = message.header["idx"]
            kind = (int(idx["contrast"]), int(idx["set"]), *image.shape)
            key = (message.series, *kind)
            if key not in series:
                like = series.get(("", *kind)) if message.series in ("network", "linear") else None
                series[key] = _Series.of(len(series) + 1, image, pixels, message.series, like)
            made = series[key].image(message, image, context)
            context.took("finish", (time.perf_counter() - started) * 1e3)
            yield made

    return node


@dataclass(slots=True)
class _Series:
    """What the images of one series have in common."""

    number: int
    scale: float
    window: float
    pixels: Pixels
    name: str = ""  # what it accompanies the scan's own images with
    count: int = 0
    noise: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None  # of the last image: as it came, and scaled

    @classmethod
    def of(
        cls, number: int, image: NDArray[np.complex64], pixels: Pixels, name: str = "", like: "_Series | None" = None
    ) -> "_Series":
        if like is not None:
            return cls(number, like.scale, like.window, pixels, name)
        bright = float(np.percentile(np.abs(image), 99.9)) or 1.0
        scale = BRIGHTEST / bright if pixels == "uint16" else 1.0
        return cls(number, scale, bright * scale, pixels, name)

    def image(self, made: Reconstruction, image: NDArray[np.complex64], context: Context) -> Image:
        self.count += 1
        flags = made.flags
        values, clipped = self._values(image)
        if clipped:
            text = f"{clipped} pixels are brighter than the series' scale admits and were cut at {CLIP}"
            flags = (*flags, context.flag("clipped_pixels", Severity.WARN, text, score=clipped, unit="pixels"))
        if self.count > 1:
            self.window = max(self.window, float(np.percentile(np.abs(values[..., ::SPARSE, ::SPARSE]), 99.9)))
        header = _header(made.header, values, context, self)
        latency_ms = (time.monotonic_ns() - made.arrived_ns) / 1e6
        meta = {
            **_meta(context, self, header, flags),
            **{f"Scanside.{name}": value for name, value in made.details.items()},
            "Scanside.Engine": made.engine,
            "Scanside.LatencyMs": f"{latency_ms:.3f}",
            "Scanside.Flags": [f"{flag.severity.value} {flag.code}" for flag in flags] or "none",
        }
        behind = None if made.companion is None else partial(_resized, made.companion, context)
        told = Image(header, values, meta, flags, made.arrived_ns, phased=image, behind=behind)
        if behind is not None:
            told = replace(told, companion=partial(self._companion, behind))
        if made.noise_std is None:
            return told
        if self.noise is None or self.noise[0] is not made.noise_std:
            self.noise = made.noise_std, _noise(made.noise_std, values.shape[-2:], context) * np.float32(self.scale)
        return replace(told, noise_std=self.noise[1])

    def _companion(self, behind: Callable[[], NDArray[np.complex64]]) -> NDArray[np.generic]:
        return self._values(behind())[0]

    def _values(self, image: NDArray[np.complex64]) -> tuple[NDArray[np.generic], int]:
        if self.pixels == "complex64":
            return image[None], 0
        magnitude = np.abs(image)
        magnitude *= np.float32(self.scale)
        if self.pixels == "float32":
            return magnitude[None], 0
        clipped = 0
        if magnitude.max() > CLIP:
            clipped = int(np.count_nonzero(magnitude > CLIP))
            np.minimum(magnitude, CLIP, out=magnitude)
        return np.rint(magnitude, out=magnitude).astype(np.uint16)[None], clipped


def _resized(image: NDArray[np.complex64], context: Context) -> NDArray[np.complex64]:
    encoding = context.scan.encodings[0]
    _, fov_y, fov_z = (r / e for r, e in zip(encoding.recon_fov_mm, encoding.encoded_fov_mm, strict=True))
    x, y, z = encoding.recon_matrix
    if image.shape[0] > 1:
        image = to_recon(image, 0, fov_z, z)
    return to_recon(to_recon(image, 1, fov_y, y), 2, 1.0, x)


def _noise(noise_std: NDArray[np.float32], shape: tuple[int, int], context: Context) -> NDArray[np.float32]:
    """Noise level on the recon matrix: the nearest pixel's, corrected for nothing but the crop."""
    encoding = context.scan.encodings[0]
    if noise_std.shape == shape and encoding.recon_fov_mm[1] >= encoding.encoded_fov_mm[1]:
        return noise_std
    kept = round(noise_std.shape[0] * min(encoding.recon_fov_mm[1] / encoding.encoded_fov_mm[1], 1.0))
    start = noise_std.shape[0] // 2 - kept // 2
    rows = start + np.arange(shape[0]) * kept // shape[0]
    columns = np.arange(shape[1]) * noise_std.shape[1] // shape[1]
    return noise_std[np.ix_(rows, columns)]


def _header(acquired: Record, values: NDArray[np.generic], context: Context, series: _Series) -> Record:
    header = np.zeros(1, IMAGE)[0]
    idx = acquired["idx"]
    for name in ("measurement_uid", "position", "read_dir", "phase_dir", "slice_dir", "patient_table_position"):
        header[name] = acquired[name]
    for name in ("acquisition_time_stamp", "physiology_time_stamp", "user_int", "user_float"):
        header[name] = acquired[name]
    for name in ("average", "slice", "contrast", "phase", "repetition", "set"):
        header[name] = idx[name]
    header["version"] = 1
    header["data_type"] = TYPE_OF[values.dtype.newbyteorder("<")]
    header["matrix_size"] = values.shape[:0:-1]
    header["field_of_view"] = context.scan.encodings[0].recon_fov_mm
    header["channels"] = values.shape[0]
    header["image_type"] = ImageType.COMPLEX if series.pixels == "complex64" else ImageType.MAGNITUDE
    header["image_index"] = series.count
    header["image_series_index"] = series.number
    return header


def _meta(context: Context, series: _Series, header: Record, flags: Sequence[Flag]) -> Meta:
    """Everything a FIRE, OpenRecon or Gadgetron console may look for, under both names where there are two."""
    scan, protocol = context.scan, context.protocol
    comment = "; ".join(("Scanside: not for diagnosis", *_in_words(flags)))
    history = ["Scanside", protocol.name, *([series.name] if series.name else [])]
    description = f"Scanside {series.name}".strip()
    window = {"Center": f"{series.window / 2:.6g}", "Width": f"{series.window:.6g}"}
    contrast = int(header["contrast"])
    meta: dict[str, str | list[str]] = {
        "DataRole": "Image",
        "GADGETRON_DataRole": "Image",
        "ImageProcessingHistory": history,
        "GADGETRON_ImageProcessingHistory": history,
        "SequenceDescriptionAdditional": description,
        "SeriesDescriptionAdditional": description,
        "GADGETRON_SeqDescription": description,
        "ImageComments": comment,
        "ImageComment": comment,
        "GADGETRON_ImageComment": comment,
        "WindowCenter": window["Center"],
        "WindowWidth": window["Width"],
        "GADGETRON_WindowCenter": window["Center"],
        "GADGETRON_WindowWidth": window["Width"],
        "Keep_image_geometry": "1" if header["matrix_size"][2] == 1 else "0",
        "ImageRowDir": [f"{v:.18f}" for v in header["read_dir"].tolist()],
        "ImageColumnDir": [f"{v:.18f}" for v in header["phase_dir"].tolist()],
        "Scanside.Protocol": protocol.name,
        "Scanside.ProtocolHash": protocol.hash[:12],
        "Scanside.Scale": f"{series.scale:.9g}",
    }
    meta.update(_timing(scan.te_ms, contrast, "EchoTime", "GADGETRON_TE"))
    meta.update(_timing(scan.ti_ms, contrast, "InversionTime", "GADGETRON_TI"))
    return meta


def _in_words(flags: Sequence[Flag]) -> list[str]:
    """What is known to be wrong when the image leaves, for the comment that consoles show."""
    return [
        f"{flag.severity.value} {flag.code}: {flag.message}" for flag in flags if flag.severity is not Severity.PASS
    ]


def _timing(values_ms: tuple[float, ...], contrast: int, *names: str) -> Mapping[str, str]:
    if not values_ms:
        return {}
    value = f"{values_ms[min(contrast, len(values_ms) - 1)]:g}"
    return dict.fromkeys(names, value)
