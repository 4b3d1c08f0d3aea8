"""The phantom's thorax without a finding, as a sum of attenuations."""

import functools

import numpy as np

from kerasmi.data.sources.phantom_image import (
    Frame,
)
from kerasmi.data.sources.phantom_shapes import (
    Array,
    Number,
    ellipse,
    gaussian,
    grain,
    like,
    positive,
    power,
    ramp,
)

HEART_DENSITY = 0.42  # what the heart adds where there would be lung
_FAN = np.linspace(-1.35, 1.45, 9)  # mean angles of a lung's vessels
_SPREAD = (0.1, 0.5)  # standard deviations of their angle and their bend


def thorax(frame: Frame) -> Array:
    """Returns the attenuations of thoraces without a finding.

    (B, size, size) for a frame of B pictures: 0 is air, about 1 white;
    `expose` makes the pictures of them.
    """
    y, anatomy = frame.y, frame.anatomy
    out = abs(frame.x)
    body = _body(frame, out)
    diaphragm = frame.diaphragm("right", out)
    below = ramp(y - diaphragm, 0.12)
    dense = anatomy.thickness + 0.10 * below - 0.05 * ramp(-0.5 - y, 0.8)
    picture: Array = body * dense
    picture -= frame.air * (0.47 - 0.05 * y)
    picture += HEART_DENSITY * frame.air * frame.normal_heart
    picture += _mediastinum(frame) + _bones(frame, out, diaphragm)
    picture += _vessels(frame)
    picture += _grain(frame)
    crowded = gaussian(out - 0.30, y, 0.20, 0.30)
    picture += frame.taken.crowding * frame.air * crowded
    for one, drawn in zip(frame.pictures(), picture, strict=True):
        _add_own(one, drawn)
    return picture


def _add_own(frame: Frame, picture: Array) -> None:
    """Adds what not every subject has to one picture, (size, size)."""
    x, y, anatomy = frame.x, frame.y, frame.anatomy
    if anatomy.breasts:
        out = abs(x)
        edge = ellipse(out - 0.48, y - 0.16, 0.36, 0.34, 0.06)
        picture += anatomy.breasts * edge * ramp(y + 0.1, 0.6)
    if anatomy.stomach:
        depth = y - frame.dome("left") - 0.05 - anatomy.stomach
        bubble = ellipse(x - 0.40, depth, 0.17, anatomy.stomach, 0.05)
        picture -= 0.22 * bubble


def _body(frame: Frame, out: Array) -> Array:
    """Soft tissue: the shoulders fall away from the neck."""
    y = frame.y
    shoulder = -0.98 + 0.26 * power(out - 0.24, 1.3)
    neck = ramp(0.30 - out, 0.1)
    side = 1.05 - 0.09 * ramp(y + 0.1, 0.6)
    inside = np.maximum(ramp(y - shoulder, 0.07), neck)
    return inside * (
        0.25 * ramp(side - out, 0.05) + 0.75 * ramp(side - out, 0.4)
    )


def _mediastinum(frame: Frame) -> Array:
    """Spine, great vessels, hila and the dark windpipe."""
    y, anatomy = frame.y, frame.anatomy
    x = frame.x - like(frame.x, frame.taken.turn)
    air, off = frame.air, abs(x)
    picture: Array = 0.10 * ramp(0.15 - off, 0.10)
    knob = ellipse(x - 0.14, y + 0.34, anatomy.aorta, 0.10, 0.05)
    trunk = ellipse(x - 0.15, y + 0.12, 0.09, 0.12, 0.06)
    veins = ellipse(x + 0.12, y + 0.32, 0.09, 0.30, 0.08)
    picture += air * (0.34 * knob + 0.2 * trunk + 0.22 * veins)
    hila = gaussian(x + 0.21, y + 0.03, 0.085, 0.13)
    hila += gaussian(x - 0.22, y + 0.08, 0.085, 0.13)
    picture += anatomy.hila * air * hila
    pipe: Array = ramp(0.04 - off, 0.04) * ramp(-0.24 - y, 0.1)
    branch = ramp(0.03 - abs(y + 0.24 - 0.9 * off), 0.05)
    pipe = np.maximum(pipe, 0.7 * branch * ramp(0.16 - off, 0.08))
    return picture - 0.17 * pipe


def _bones(frame: Frame, out: Array, diaphragm: Array) -> Array:
    """Spine, ribs behind and in front, clavicles and shoulders."""
    y, anatomy = frame.y, frame.anatomy
    soft = frame.soft + 0.015
    spine = ramp(0.08 - out, 0.04) * (1 + 0.35 * np.cos(48 * y))
    cage = ramp(frame.wall(y) + 0.05 - out, soft + 0.03)
    cage *= ramp(diaphragm + 0.25 - y, 0.5)

    bright, begin = like(out, anatomy.ribs), like(out, anatomy.rib_phase)

    def ribs(curve: Array, apart: Number, half: float) -> Array:
        spacing = like(out, apart)
        phase = (y - curve) / spacing + begin
        off = abs(phase - np.floor(phase) - 0.5) * spacing
        body = ramp(half - off, soft)
        # The cortex is denser than the marrow.
        return body * (0.65 + 0.7 * (off / half) ** 2)

    behind = ribs(0.62 * positive(out - 0.2) ** 2, anatomy.rib_spacing, 0.033)
    front = ribs(0.85 * power(1 - out, 1.3), 1.1 * anatomy.rib_spacing, 0.036)
    front *= ramp(out - 0.38, 0.3)
    picture = 0.06 * spine + bright * cage * (behind + 0.6 * front)
    collar = -0.60 - 0.22 * positive(out - 0.1) + 0.03 * np.sin(9 * out)
    clavicle = ramp(0.036 - abs(y - collar), soft) * ramp(out - 0.08, 0.04)
    clavicle *= ramp(0.86 - out, 0.05)
    blade = ellipse(out - 0.86, y + 0.32, 0.15, 0.30, 0.06) * (y > -0.6)
    joint = ellipse(out - 0.98, y + 0.64, 0.13, 0.13, 0.04)
    return picture + like(out, 1.6 * anatomy.ribs) * (
        clavicle + 0.4 * blade + joint
    )


def _grain(frame: Frame) -> Array:
    """The lung's own texture, another in each image."""
    grains = [
        grain(np.random.default_rng((taken.seed, 1)), 24, frame.size)
        for _, taken in frame.pairs
    ]
    return frame.taken.texture * frame.air * np.stack(grains)


def _vessels(frame: Frame) -> Array:
    """Vessels that fan out from the hila and fade."""
    picture = np.zeros(frame.x.size, np.float32)
    size = frame.size**2
    for side, height in (("right", 0.03), ("left", 0.08)):
        # There is none outside of the lung.
        lung = frame.lungs[side].ravel()
        seen = np.flatnonzero(lung != 0)
        across = frame.outward(side).ravel()[seen] - 0.17
        down = frame.y.ravel()[seen] + height
        reach = np.sqrt(across**2 + down**2)
        angle = np.arctan2(down, across)
        fade = lung[seen] * ramp(reach - 0.10, 0.12)
        fade *= 1 - 0.8 * np.minimum(reach, 1)
        off = np.empty_like(reach)
        ends = seen.searchsorted(size * np.arange(len(frame.pairs) + 1))
        for (anatomy, _), first, last in zip(
            frame.pairs, ends[:-1], ends[1:], strict=True
        ):
            own = slice(first, last)
            off[own] = _off_vessels(
                angle[own], reach[own], *_fan(anatomy.seed, side)
            )
        picture[seen] = fade * ramp(0.032 - 0.036 * reach - off, 0.04)
    bright = like(picture, frame.anatomy.vessels)
    return bright * picture.reshape(frame.x.shape)


def _off_vessels(
    angle: Array, reach: Array, starts: Array, bends: Array
) -> Array:
    """Returns the distance to the nearest of K vessels, (N,).

    Args:
        angle, reach: (N,) where the pixels are, seen from the hilum.
        starts, bends: (K, 1) angles and bends of the vessels.
    """
    off = angle - starts
    off -= bends * reach
    np.absolute(off, off)
    return np.minimum.reduce(off) * reach


def _fan(seed: int, side: str) -> Array:
    """Returns a lung's vessels, (2, 9, 1): angles and bends, in radians."""
    return _fans(seed)[int(side == "left")]


@functools.lru_cache(maxsize=8)  # the images of a subject have the same
def _fans(seed: int) -> Array:
    """Draws the vessels of a subject, right before left."""
    drawn = np.random.default_rng(seed).standard_normal((2, 9, 2))
    drawn *= _SPREAD
    drawn[..., 0] += _FAN
    return drawn.astype(np.float32).swapaxes(1, 2)[..., None]
