"""The phantom's film: attenuations to a picture, and where a finding shows."""

import functools
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from kerasmi.data.schema import GRID
from kerasmi.data.sources.phantom_image import Acquisition
from kerasmi.data.sources.phantom_shapes import (
    Array,
    column,
    grain,
    like,
    power,
    unit,
)

NOISE_GRID = 64  # noise that larger pictures share with the 64-pixel one


def expose(attenuation: Array, taken: Sequence[Acquisition]) -> Array:
    """Turns attenuations into 8-bit pictures: tone, shading and noise.

    Args:
        attenuation: (B, size, size), 0 for air; about 1 is white.
        taken: How each image is taken.

    Returns:
        (B, size, size) uint8; the same noise for the same `taken.seed`.
    """
    size = attenuation.shape[-1]
    at = _edges(size)
    across, down = (
        like(at, column(each.gradient[axis] for each in taken))
        for axis in (0, 1)
    )
    shade = across * at[None, :] + down * at[:, None]
    gain = like(attenuation, column(each.gain for each in taken))
    gamma = like(shade, column(each.gamma for each in taken))
    strength = like(shade, column(each.noise for each in taken))
    tone = (attenuation * gain + shade) / 1.05
    tone = np.tanh(1.25 * power(tone, gamma))
    tone /= np.tanh(1.25)
    tone += strength * np.stack([_noise(each, size) for each in taken])
    return np.rint(255 * unit(tone)).astype(np.uint8)


def _noise(taken: Acquisition, size: int) -> Array:
    generator = np.random.default_rng(taken.seed)
    shared = 0.8 * grain(generator, NOISE_GRID, size)
    return shared + 0.6 * generator.standard_normal((size, size), np.float32)


@functools.lru_cache(maxsize=4)
def _edges(size: int) -> Array:
    """Returns -1 at the first pixel to 1 at the last, (size,)."""
    return np.linspace(-1, 1, size, dtype=np.float32)


def encode(picture: Array) -> bytes:
    """Returns the PNG bytes of a gray picture, (size, size) uint8."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def cells(effect: Array) -> bytes:
    """Returns the 4x4 cells in which a finding shows, 16 bytes of 0 or 1.

    A cell counts from 30% of what the strongest cell has.

    Args:
        effect: (size, size) attenuation that the finding adds or takes.
    """
    part = len(effect) // GRID
    total = abs(effect).reshape(GRID, part, GRID, part).sum((1, 3)).ravel()
    return bytes((total > 0.3 * total.max()).astype(np.uint8))
