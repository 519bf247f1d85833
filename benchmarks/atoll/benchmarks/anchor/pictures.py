"""Made classes of pictures for the image anchor: letters of matplotlib's fonts, silhouettes and strokes, distorted.

No digit is among the letters, and no picture of any data set: what the anchor is tried on later is new to it.

Shapes: N pictures, B of a batch, E pixels of a canvas' edge, H and W pixels.
"""

import string
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from atoll.workloads.images.drawn import corners, filled, grating, outline, penned

EDGE = 48
"""Pixels of a canvas, larger than what the anchor reads, so that distortions lose nothing."""

_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
)
_ALIKE = "cosvwxz"
"""Latin letters whose two cases differ in size alone."""
LETTERS = tuple(
    [c for c in string.ascii_letters if c not in _ALIKE]
    + list("ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπσφψω")
    + list("БДЖИЛФЦЧШЮЯ")
    + list("&@$%?!#+=*<>∞∂∫√≈≠≤∈∪∩→↑⊕")
)
HELD_OUT = tuple("ЄЉЊЋЂЏҒҖҚҢҮҰҺӘӨ§¶€£¥∀∃∇∝∠∧∨⊂⊥◊")
"""Letters and signs that are never trained on."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Canvases and the classes that they are of.

    Attributes:
        canvases: float32 [N, E, E], bright on dark, from 0 to 1.
        labels: int64 [N], from 0.
    """

    canvases: Tensor
    labels: Tensor

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.labels.max()) + 1


def made_classes(seed: int, shapes: int, variants: int) -> Pictures:
    """Letters in every font, and as many silhouettes and strokes as asked for, each drawn a number of times."""
    rng = np.random.default_rng(seed)
    found = [(canvas, place) for place, letter in enumerate(LETTERS) for canvas in _letter(letter)]
    for number in range(shapes):
        sizes, phases = outline(rng)
        through = corners(rng)
        for _ in range(variants):
            found.append((filled(rng, sizes, phases, EDGE, EDGE), len(LETTERS) + 2 * number))
            found.append((penned(rng, through, EDGE, EDGE), len(LETTERS) + 2 * number + 1))
    return _pictures(found)


def held_out_letters() -> Pictures:
    """Signs that :func:`made_classes` does not have, in every font."""
    return _pictures([(canvas, place) for place, letter in enumerate(HELD_OUT) for canvas in _letter(letter)])


def distorted(canvases: Tensor, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Canvases [B, E, E] as the anchor reads them, [B, 1, H, W]: moved, bent, thickened, lit and blurred at random."""
    x = _pen(canvases[:, None], rng)
    x = functional.grid_sample(x, _places(len(x), height, width, rng), align_corners=False)
    x = _light(x, rng)
    noise = torch.randn(x.shape, generator=rng) * 0.05 * torch.rand(len(x), 1, 1, 1, generator=rng)
    return (x + noise).clamp(0, 1)


def _letter(letter: str) -> list[NDArray[np.float32]]:
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return [_written(letter, ImageFont.truetype(str(folder / f"{name}.ttf"), 42)) for name in _FONTS]


def _written(letter: str, font: ImageFont.FreeTypeFont) -> NDArray[np.float32]:
    canvas = Image.new("L", (EDGE, EDGE))
    ImageDraw.Draw(canvas).text((EDGE / 2, EDGE / 2), letter, fill=255, font=font, anchor="mm")
    written: NDArray[np.float32] = np.asarray(canvas, dtype=np.float32) / np.float32(255)
    return written


def _pictures(found: list[tuple[NDArray[np.float32], int]]) -> Pictures:
    canvases = torch.from_numpy(np.stack([canvas for canvas, _ in found]))
    return Pictures(canvases, torch.tensor([label for _, label in found]))


def _uniform(low: float, high: float, count: int, rng: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=rng)


def _pen(x: Tensor, rng: torch.Generator) -> Tensor:
    """A third thicker, a sixth thinner."""
    chosen = torch.rand(len(x), 1, 1, 1, generator=rng)
    thick = functional.max_pool2d(x, 3, 1, 1)
    thin = -functional.max_pool2d(-x, 3, 1, 1)
    return torch.where(chosen < 1 / 3, thick, torch.where(chosen > 5 / 6, thin, x))


def _places(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Where each pixel of the result lies on the canvas, [B, H, W, 2]: an affine map and a smooth displacement."""
    turn, lean = _uniform(-0.35, 0.35, count, rng), _uniform(-0.3, 0.3, count, rng)
    wide, high = _uniform(0.65, 1.25, count, rng), _uniform(0.65, 1.25, count, rng)
    rows = [turn.cos() * wide, (lean - turn.sin()) * high, turn.sin() * wide, turn.cos() * high]
    matrix = torch.stack(rows, -1).view(count, 2, 2)
    shift = _uniform(-0.2, 0.2, 2 * count, rng).view(count, 2, 1)
    places = functional.affine_grid(torch.cat([matrix, shift], -1), [count, 1, height, width], align_corners=False)
    bends = torch.randn(count, 2, 4, 4, generator=rng) * _uniform(0, 0.09, count, rng)[:, None, None, None]
    bent = functional.interpolate(bends, (height, width), mode="bicubic", align_corners=True)
    return places + bent.permute(0, 2, 3, 1)


def _light(x: Tensor, rng: torch.Generator) -> Tensor:
    """Softer or harder edges, less light, stripes over some, and one in twelve dark on bright."""
    x = x ** _uniform(0.6, 1.6, len(x), rng)[:, None, None, None]
    draw = np.random.default_rng(int(torch.randint(1 << 31, (), generator=rng)))
    stripes = torch.from_numpy(np.stack([grating(draw, *x.shape[-2:]) for _ in range(16)]))
    chosen = stripes[torch.randint(16, (len(x),), generator=rng)][:, None]
    depth = (_uniform(-1, 0.7, len(x), rng)).clamp(0)[:, None, None, None]
    x = x * (1 - depth * chosen) * _uniform(0.6, 1, len(x), rng)[:, None, None, None]
    return torch.where(torch.rand(len(x), 1, 1, 1, generator=rng) < 1 / 12, 1 - x, x)
