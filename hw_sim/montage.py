"""Images as the console's screen shows them: windowed, in one picture, each with its slice number."""

from collections.abc import Sequence
from io import BytesIO
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from protocols.messages import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["montage", "shades"]

MOST: Final = 30  # of a long series so many are shown, evenly spread
CAPTION: Final = 14  # pixels
WIDEST: Final = 6  # pictures side by side


def _number(image: Image, *names: str) -> float | None:
    for name in names:
        value = image.meta.get(name)
        first = value[0] if isinstance(value, list) and value else value
        try:
            return float(str(first))
        except ValueError:
            continue
    return None


def shades(image: Image, partition: int | None = None, like: Image | None = None) -> NDArray[np.uint8]:
    """Grey values (y, x) of a partition of the first channel, by the window of the image or of `like`, or by contents.

    Without a number it is the middle one.
    """
    number = image.pixels.shape[1] // 2 if partition is None else partition
    plane = np.abs(image.pixels[0, number]).astype(np.float64)
    centre, width = _window(like or image)
    if centre is None or not width:
        low, high = 0.0, float(np.nanpercentile(plane, 99.5))
    else:
        low, high = centre - width / 2, centre + width / 2
    level = np.nan_to_num((plane - low) / max(high - low, 1e-12))
    return (np.clip(level, 0, 1) * 255).astype(np.uint8)


def _window(image: Image) -> tuple[float | None, float | None]:
    return _number(image, "WindowCenter"), _number(image, "WindowWidth")


def _widest(images: Sequence[Image]) -> dict[int, Image]:
    """The image of each series with the widest window: it suits the others, too."""
    found: dict[int, Image] = {}
    for image in images:
        series = int(image.header["image_series_index"])
        if series not in found or (_window(image)[1] or 0) > (_window(found[series])[1] or 0):
            found[series] = image
    return found


def _tile(image: Image, partition: int, like: Image) -> "Picture":
    """One picture with square pixels."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(shades(image, partition, like))
    fov_x, fov_y = (float(mm) for mm in image.header["field_of_view"][:2])
    if fov_x > 0 and fov_y > 0:
        across = picture.width
        down = max(1, round(across * fov_y / fov_x))
        if down != picture.height:
            picture = picture.resize((across, down))
    return picture


def _caption(image: Image, partition: int) -> str:
    head = image.header
    if image.pixels.shape[1] > 1:
        return f"partition {partition}"
    more = [f"rep {head['repetition']}"] if head["repetition"] else []
    more += [f"echo {head['contrast']}"] if head["contrast"] else []
    return " ".join([f"slice {head['slice']}", *more])


def montage(images: Sequence[Image]) -> bytes:
    """PNG of all images, and partitions of volumes, side by side, or of MOST of them evenly spread."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    if not images:
        raise ValueError("montage: got no image, wanted at least one")
    pages = [(image, partition) for image in images for partition in range(image.pixels.shape[1])]
    chosen = [pages[int(n)] for n in np.linspace(0, len(pages) - 1, min(MOST, len(pages)))]
    widest = _widest(images)
    tiles = [_tile(image, number, widest[int(image.header["image_series_index"])]) for image, number in chosen]
    columns = min(WIDEST, len(tiles), ceil(sqrt(len(tiles) * 1.5)))
    width = max(tile.width for tile in tiles)
    height = max(tile.height for tile in tiles) + CAPTION
    sheet = Pillow.new("L", (columns * width, ceil(len(tiles) / columns) * height))
    pen = ImageDraw.Draw(sheet)
    for n, (tile, page) in enumerate(zip(tiles, chosen, strict=True)):
        left, top = n % columns * width, n // columns * height
        sheet.paste(tile, (left, top + CAPTION))
        pen.text((left + 4, top + 1), _caption(*page), fill=200)
    store = BytesIO()
    sheet.save(store, "PNG", optimize=True)
    return store.getvalue()
