"""Pictures that everyone can draw: silhouettes, strokes and gratings, the same on every machine.

They are the public pictures of this workload: the anchor's own domain is described by them, and they are part of what
the shipped anchor was trained on. Bright on dark, from 0 to 1.

Shapes: N pictures, H and W pixels, P points of a stroke.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

KINDS = ("silhouette", "stroke", "grating")
"""What is drawn; the classes of the public pictures."""

_HARMONICS, _CORNERS, _POINTS = 6, 5, 48


def drawn_pictures(count: int, seed: int, height: int, width: int) -> tuple[Floats, NDArray[np.int64]]:
    """Pictures of all kinds in turn, [N, H, W], and which kind each is, [N]."""
    rng = np.random.default_rng([20, seed])
    makers = (silhouette, stroke, grating)
    kinds = np.arange(count) % len(KINDS)
    return np.stack([makers[kind](rng, height, width) for kind in kinds]), kinds


def silhouette(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A filled shape whose outline is a random Fourier series, with a faint texture."""
    return filled(rng, *outline(rng), height, width)


def outline(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Amplitudes and phases of a shape's harmonics."""
    sizes = rng.normal(0, 0.35, _HARMONICS) / np.arange(1, _HARMONICS + 1) ** 0.7
    return sizes, rng.uniform(0, 2 * np.pi, _HARMONICS)


def filled(
    rng: np.random.Generator, sizes: NDArray[np.float64], phases: NDArray[np.float64], height: int, width: int
) -> Floats:
    """A shape of these harmonics, stretched and placed at random, lit by a grating of random strength."""
    y, x = _grid(height, width)
    x, y = x - rng.uniform(-0.15, 0.15), (y - rng.uniform(-0.15, 0.15)) * rng.uniform(0.7, 1.4)
    angle = np.arctan2(y, x) + rng.normal(0, 0.2)
    order = np.arange(1, len(sizes) + 1)
    waves = (sizes * np.cos(angle[..., None] * order + phases)).sum(-1)
    radius = rng.uniform(0.4, 0.75) * np.exp(waves.clip(-1.2, 0.6))
    inside = 1 / (1 + np.exp(-(radius - np.hypot(x, y)) * min(height, width)))
    light = 1 - rng.uniform(0, 0.6) * grating(rng, height, width)
    lit: Floats = (inside * light * rng.uniform(0.6, 1)).astype(np.float32)
    return lit


def stroke(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A pen's smooth path through random corners."""
    return penned(rng, corners(rng), height, width)


def corners(rng: np.random.Generator) -> NDArray[np.float64]:
    """Where a stroke goes, [corners, 2]."""
    found: NDArray[np.float64] = rng.uniform(-0.7, 0.7, (int(rng.integers(3, _CORNERS + 1)), 2))
    return found


def penned(rng: np.random.Generator, through: NDArray[np.float64], height: int, width: int) -> Floats:
    """A path through these corners, a little moved, by a pen of random width."""
    moved = through + rng.normal(0, 0.08, through.shape)
    ends = np.concatenate([2 * moved[:1] - moved[1:2], moved, 2 * moved[-1:] - moved[-2:-1]])
    along = np.linspace(0, len(moved) - 1 - 1e-6, _POINTS)
    path = _catmull_rom(ends, along)
    y, x = _grid(height, width)
    away = np.hypot(x[..., None] - path[:, 0], y[..., None] - path[:, 1]).min(-1)
    pen = rng.uniform(0.06, 0.16)
    inked: Floats = (1 / (1 + np.exp((away - pen) * 1.5 * min(height, width) / 2))).astype(np.float32)
    return inked


def grating(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Stripes of random direction, width and phase, some crossed by others."""
    y, x = _grid(height, width)
    found = np.zeros((height, width))
    for _ in range(int(rng.integers(1, 3))):
        angle, waves, phase = rng.uniform(0, np.pi), rng.uniform(0.5, 4), rng.uniform(0, 2 * np.pi)
        found += np.sin(np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    whole: Floats = (0.5 + 0.5 * np.tanh(found)).astype(np.float32)
    return whole


def _grid(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates from -1 to 1 of each pixel's middle: y, x."""
    rows, columns = (np.arange(height) + 0.5) / height * 2 - 1, (np.arange(width) + 0.5) / width * 2 - 1
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return y, x


def _catmull_rom(points: NDArray[np.float64], along: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places on the smooth curve through all points but the first and the last, [P, 2]."""
    step = along.astype(np.int64)
    t = (along - step)[:, None]
    before, one, two, after = (points[step + shift] for shift in range(4))
    found: NDArray[np.float64] = 0.5 * (
        2 * one
        + (two - before) * t
        + (2 * before - 5 * one + 4 * two - after) * t**2
        + (3 * one - before - 3 * two + after) * t**3
    )
    return found
