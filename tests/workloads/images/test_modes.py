"""One rule for each mode of pictures; what has none is refused by name."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atoll.anchors.classifier import ImagesForm
from atoll.errors import ConfigError, DataError
from atoll.workloads.classification import ClassList
from atoll.workloads.images.config import ImagesConfig
from atoll.workloads.images.modes import pixels
from atoll.workloads.images.sources import read_pictures
from atoll.workloads.reading import Tally

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_keep_their_range(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(RAMP.astype(np.uint16) * 257))
    assert np.array_equal(pixels(path, 1, ()), RAMP)
    assert np.array_equal(pixels(path, 3, ())[..., 2], RAMP)


def test_16_bits_of_which_12_are_used_are_refused_without_their_range(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RAMP.astype(np.uint16) * 16))
    with pytest.raises(DataError, match=r"16 bits, of which values up to 4080 alone.*intensity"):
        pixels(path, 1, ())
    assert np.array_equal(pixels(path, 1, (0, 4080)), RAMP)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bits_need_a_range(tmp_path: Path, kind: type) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(RAMP.astype(kind) - 100))
    with pytest.raises(DataError, match="whose range nobody knows"):
        pixels(path, 1, ())
    assert np.array_equal(pixels(path, 1, (-100, 155)), RAMP)


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.full((4, 4), np.nan, np.float32)))
    with pytest.raises(DataError, match="no numbers"):
        pixels(path, 1, (0, 1))


def test_bits_and_palettes(tmp_path: Path) -> None:
    assert set(pixels(saved(tmp_path / "1.png", Image.new("1", (4, 4), 1)), 1, ()).ravel()) == {255}
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert pixels(saved(tmp_path / "p.png", image), 3, ()).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    seen = pixels(saved(tmp_path / "t.png", image, transparency=1), 3, ())
    assert seen.tolist() == [[[10, 20, 30], [0, 0, 0]]]


def test_alpha_is_laid_over_black(tmp_path: Path) -> None:
    for mode, colour, expected in (
        ("LA", (200, 0), [0, 0, 0]),
        ("LA", (200, 255), [200, 200, 200]),
        ("RGBA", (200, 100, 50, 0), [0, 0, 0]),
        ("RGBA", (200, 100, 50, 255), [200, 100, 50]),
    ):
        path = saved(tmp_path / "a.png", Image.new(mode, (1, 1), colour))
        assert pixels(path, 3, ())[0, 0].tolist() == expected


def test_inks(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.new("CMYK", (4, 4), (255, 0, 0, 51)))
    assert pixels(path, 3, ())[0, 0].tolist() == [0, 204, 204]


def test_ycbcr(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.new("YCbCr", (4, 4), (255, 128, 128)))
    assert pixels(path, 3, ())[0, 0].tolist() == [255, 255, 255]


def test_no_rule_no_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mode LAB"):
        pixels(saved(tmp_path / "lab.tif", Image.new("LAB", (4, 4))), 3, ())
    inks = saved(tmp_path / "c.tif", Image.new("CMYK", (4, 4)), icc_profile=b"profile")
    with pytest.raises(DataError, match="CMYK with a colour profile"):
        pixels(inks, 3, ())
    frames = [Image.new("L", (4, 4), number) for number in (1, 200)]
    for name in ("a.gif", "a.tif", "a.png", "a.webp"):
        path = saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
        with pytest.raises(DataError, match="2 frames or pages"):
            pixels(path, 1, ())


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("L", (16, 8))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right: turn by 90 degrees clockwise
    turned = pixels(saved(tmp_path / "a.png", image, exif=exif), 1, ())
    assert turned.shape == (16, 8)
    assert turned[0, 7] == 255


def test_16_bits_of_colour(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png16(np.stack([RAMP.astype(np.uint16) * 257] * 3, -1)))
    assert np.array_equal(pixels(path, 3, ())[..., 0], RAMP)
    path.write_bytes(_png16(np.stack([RAMP.astype(np.uint16) * 15] * 3, -1)))
    with pytest.raises(DataError, match="16 bits of colour"):
        pixels(path, 3, ())


def _png16(values: np.ndarray) -> bytes:
    """An RGB PNG of 16 bits, which Pillow does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_bad_pictures_are_counted(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    saved(tmp_path / "cat" / "ok.png", Image.fromarray(RAMP))
    for number in range(12):
        (tmp_path / "cat" / f"{number}.png").write_bytes(b"none")
    form, classes = ImagesForm(height=8, width=8, filters=(8,)), ClassList(("cat", "dog"))
    with pytest.raises(DataError, match="12 records"):
        read_pictures([str(tmp_path)], classes, form)
    tally = Tally("skip")
    assert len(read_pictures([str(tmp_path)], classes, form, (), tally)) == 1
    assert (tally.report().bad, tally.report().files) == (12, 1)


def test_a_range_must_be_one() -> None:
    for odd in ([1.0], [2.0, 1.0], [0.0, float("inf")]):
        with pytest.raises(ConfigError, match="intensity"):
            ImagesConfig(paths=["x"], classes=["a", "b"], intensity=odd).check()


def test_advice_fits_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%PDF-1.7")
    with pytest.raises(DataError, match="this is a PDF document"):
        pixels(tmp_path / "a.png", 1, ())
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + bytes(64))
    with pytest.raises(DataError, match="this is a DICOM file"):
        pixels(tmp_path / "a.dcm", 1, ())
