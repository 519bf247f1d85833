"""Pixels of a picture file as 8-bit grey or colour: one rule for each mode, and a refusal where there is none.

====================  =========================================================================================
mode                  rule
====================  =========================================================================================
L, RGB                as they are; embedded colour profiles are not looked at
1                     black is 0 and white 255
P                     its palette's colours
alpha (LA, RGBA, PA,  laid over black, as public pictures are bright on dark; a pixel that is opaque stays what it
tRNS)                 is, and the colour of one that is not seen plays no part
CMYK                  (255 - ink) * (255 - black) / 255; refused with an embedded profile, which means other colours
YCbCr                 ITU-R BT.601 with the full range, as in JPEG files (JFIF 1.02)
16 bits, grey         0 to 65535 becomes 0 to 255 (4095 of 12-bit TIFF), unless ``intensity`` says which values do
16 bits, colour       the higher byte
32 bits, float        what ``intensity`` says; refused without it
all others            refused: LAB, HSV and what Pillow may yet bring
====================  =========================================================================================

A picture that the camera turned (EXIF orientation) is turned upright. Several frames or pages are refused, but for the
further pictures that a camera puts behind the first (MPO).
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll.errors import DataError
from atoll.workloads.images.convert import Bytes
from atoll.workloads.signatures import HEAD, kind_of

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_PLAIN = ("L", "RGB")
_GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
_LEAST = 4096
"""A 16-bit picture without a value of this many levels would be nearly black: it holds 12 bits or fewer."""


def pixels(file: Path, channels: int, intensity: Sequence[float]) -> Bytes:
    """A picture, uint8 [H, W] or [H, W, 3].

    Args:
        file: The picture.
        channels: 1 for grey, 3 for colour.
        intensity: Of pictures of more than 8 bits the value that becomes 0 and that which becomes 255; empty for the
            rules above.

    Raises:
        DataError: no picture, a broken one, or one for which there is no rule.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file) as opened:
            frames = getattr(opened, "n_frames", 1)
            if frames > 1 and opened.format != "MPO":
                raise _no_rule(file, f"{frames} frames or pages", "write each as a picture of its own")
            raw = _raw_mode(opened)
            upright = ImageOps.exif_transpose(opened)
            if upright.mode in (*_GREY16, "I", "F"):
                bounds = _bounds(file, opened, raw, intensity)
                grey = scaled_array(np.asarray(upright), bounds, f"images: '{file}'")
                return grey if channels == 1 else np.repeat(grey[..., None], 3, axis=2)
            made = np.array(_shallow(file, upright).convert("L" if channels == 1 else "RGB"))
    # Pillow raises many things for broken files, among them SyntaxError for a PNG.
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        KeyError,
        TypeError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        why = _other_kind(file) if isinstance(error, UnidentifiedImageError) else None
        raise DataError(f"images: '{file}' is no picture that can be read: {why or error}") from error
    if "16" in raw and made.max(initial=0) < _LEAST >> 8 and made.any():
        raise _no_rule(file, "16 bits of colour of which only the lower ones are used", "write it with 8 bits")
    return made


def scaled_array(values: NDArray[Any], intensity: Sequence[float], where: str) -> Bytes:
    """Numbers of any type as uint8: ``intensity`` says which become 0 and 255, what is beyond is held at them.

    Raises:
        DataError: a value that is no number.
    """
    low, high = intensity
    whole = values.astype(np.float64)
    if not np.isfinite(whole).all():
        raise DataError(f"{where} holds values that are no numbers")
    found: Bytes = ((whole - low) * (255 / (high - low))).round().clip(0, 255).astype(np.uint8)
    return found


def _bounds(file: Path, opened: Any, raw: str, intensity: Sequence[float]) -> tuple[float, float]:
    """Which values of a picture of more than 8 bits become 0 and 255."""
    if dict(getattr(opened, "tag_v2", {})).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise _no_rule(file, "more than 8 bits of which 0 is white", "write it so that 0 is black")
    if intensity:
        return float(intensity[0]), float(intensity[1])
    if opened.mode not in _GREY16:
        raise _no_rule(file, f"mode {opened.mode}, whose range nobody knows", "set intensity: [LOW, HIGH]")
    if "12" in raw:
        return 0.0, 4095.0
    highest = int(np.asarray(opened).max(initial=0))
    if 0 < highest < _LEAST:
        raise _no_rule(
            file,
            f"16 bits, of which values up to {highest} alone are used",
            "set intensity: [LOW, HIGH], such as [0, 4095]",
        )
    return 0.0, 65535.0


def _shallow(file: Path, image: Any) -> Any:
    """A picture of 8 bits or fewer without alpha and palette."""
    from PIL import Image

    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB")
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        raise _no_rule(file, "mode CMYK with a colour profile", "convert it to sRGB")
    if image.mode in (*_PLAIN, "1", "CMYK", "YCbCr"):
        return image
    if image.mode == "P":
        return image.convert("RGB")
    raise _no_rule(file, f"mode {image.mode}", "write it as 8-bit grey or RGB, for instance as PNG")


def _raw_mode(opened: Any) -> str:
    """How the pixels lie in the file, as Pillow's decoder was told: at times with more bits than the mode."""
    given = next((tile[3] for tile in getattr(opened, "tile", [])), "")
    return given if isinstance(given, str) else str(next(iter(given or ()), ""))


def _other_kind(file: Path) -> str | None:
    """What a file is that Pillow does not know, where its first bytes say it."""
    with file.open("rb") as stream:
        kind = kind_of(stream.read(HEAD))
    return f"this is {kind}" if kind else None


def _no_rule(file: Path, what: str, advice: str) -> DataError:
    return DataError(f"images: '{file}' has {what}: there is no rule for it that keeps what it shows; {advice}")
