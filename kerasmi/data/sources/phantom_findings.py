"""How the phantom's findings look: attenuation added to the thorax."""

from collections.abc import Callable

import numpy as np

from kerasmi.data.sources.phantom_image import (
    Frame,
)
from kerasmi.data.sources.phantom_shapes import (
    Array,
    ellipse,
    gaussian,
    grain,
    power,
    ramp,
    stroke,
)
from kerasmi.data.sources.phantom_status import Status
from kerasmi.data.sources.phantom_thorax import HEART_DENSITY

Generator = np.random.Generator
# Centres of the lung zones: distance from the midline, y.
_ZONE_CENTRES = {
    "upper": (0.42, -0.48),
    "middle": (0.50, -0.10),
    "lower": (0.52, 0.24),
}
_HAZE = (0.03, 0.055, 0.09)  # of edema, by severity
_FLUID_HEIGHTS = (0.22, 0.42, 0.72)  # above the costophrenic angle
_HEART_SIZES = (1.17, 1.34)
_RETRACTIONS = (0.16, 0.32)  # of a lung with a pneumothorax


def effect(frame: Frame, status: Status) -> Array:
    """Returns the (size, size) attenuation that a status adds.

    Args:
        frame: The thorax in its pose.
        status: What is there; its seed draws it, so that a status looks the
            same whatever else is in the image.
    """
    generator = np.random.default_rng(status.seed)
    return _EFFECTS[status.kind](frame, status, generator)


def _place(frame: Frame, status: Status, generator: Generator) -> tuple:
    """Pixel coordinates around a random place in the status' zone."""
    out, y = _ZONE_CENTRES[status.level]
    out += generator.uniform(-0.10, 0.08)
    y += generator.uniform(-0.09, 0.09)
    return frame.outward(status.side) - out, frame.y - y


def _consolidation(frame: Frame, status: Status, draw: Generator) -> Array:
    x, y = _place(frame, status, draw)
    wide, high = draw.uniform(0.15, 0.24), draw.uniform(0.11, 0.18)
    density = draw.uniform(0.22, 0.38)
    patch = ellipse(x, y, wide, high, 0.09)
    patch *= 1 + 0.25 * grain(draw, 32, frame.size)
    return density * patch * frame.lungs[status.side]


def _pneumonia(frame: Frame, status: Status, draw: Generator) -> Array:
    x, y = _place(frame, status, draw)
    patches = np.zeros_like(x)
    for _ in range(draw.integers(4, 7)):
        dx, dy = draw.normal(0, 0.10, 2)
        radius = draw.uniform(0.05, 0.085)
        np.maximum(
            patches, ellipse(x - dx, y - dy, radius, radius, 0.06), out=patches
        )
    return draw.uniform(0.20, 0.34) * patches * frame.lungs[status.side]


def _atelectasis(frame: Frame, status: Status, draw: Generator) -> Array:
    x, y = _place(frame, status, draw)
    angle = draw.normal(0.15, 0.3)
    along = np.cos(angle) * x + np.sin(angle) * y
    off = np.cos(angle) * y - np.sin(angle) * x
    off = off + draw.normal(0, 0.5) * along**2
    band = ramp(draw.uniform(0.16, 0.26) - abs(along), 0.08)
    band = band * ramp(draw.uniform(0.020, 0.036) - abs(off), frame.soft + 0.01)
    return draw.uniform(0.20, 0.34) * band * frame.lungs[status.side]


def _nodule(frame: Frame, status: Status, draw: Generator) -> Array:
    x, y = _place(frame, status, draw)
    radius = draw.uniform(0.045, 0.07)
    disc = ellipse(x, y, radius, radius, frame.soft + 0.01)
    return draw.uniform(0.16, 0.28) * disc * frame.lungs[status.side]


def _effusion(frame: Frame, status: Status, draw: Generator) -> Array:
    side = status.side
    out = frame.outward(side)
    angle = frame.diaphragm(side, frame.anatomy.width)
    height = _FLUID_HEIGHTS[status.grade - 1] * draw.uniform(0.85, 1.15)
    # The meniscus climbs towards the wall.
    climb = power(np.minimum(out / frame.anatomy.width, 1.2), 3)
    climb = 0.6 + 0.4 * climb
    level = angle - height * climb
    fluid = ramp(frame.y - level, 0.06)
    seen = frame.lungs[side] * (1 - 0.85 * frame.normal_heart)
    return draw.uniform(0.30, 0.42) * fluid * seen


def _pneumothorax(frame: Frame, status: Status, draw: Generator) -> Array:
    side = status.side
    retraction = _RETRACTIONS[status.grade - 1] * draw.uniform(0.8, 1.2)
    out, grow = frame.outward(side), 1 + retraction
    # The lung shrinks towards its hilum and leaves a rim of air.
    small = frame.lung(side, 0.2 + (out - 0.2) * grow, frame.y * grow)
    fade = ramp((-0.1, 0.25)[status.grade - 1] - frame.y, 0.4)
    rim = frame.lungs[side] * (1 - small) * ramp(out - 0.2, 0.1) * fade
    edge = 4 * small * (1 - small) * frame.lungs[side] * fade
    return draw.uniform(0.8, 1.2) * (0.10 * edge - 0.24 * rim)


def _cardiomegaly(frame: Frame, status: Status, draw: Generator) -> Array:
    size = _HEART_SIZES[status.grade - 1] + draw.uniform(-0.06, 0.06)
    wider = frame.heart(size) - frame.normal_heart
    return HEART_DENSITY * frame.air * wider


def _edema(frame: Frame, status: Status, draw: Generator) -> Array:
    x, y, grade = abs(frame.x), frame.y, status.grade
    strength = _HAZE[grade - 1] * draw.uniform(0.6, 1.4)
    wings = gaussian(x - 0.30, y - draw.uniform(-0.10, 0.10), 0.20, 0.30)
    haze = strength * wings
    if grade >= 2:
        haze += draw.uniform(0.02, 0.06) * _septa(frame, draw)
    if grade == 3:
        haze += strength * 0.5 * wings * grain(draw, 20, frame.size)
    return haze * frame.air


def _septa(frame: Frame, draw: Generator) -> Array:
    """Short horizontal lines at the wall of both lung bases."""
    out = abs(frame.x) - (frame.wall(frame.y) - 0.07)
    length = ramp(0.06 - abs(out), 0.04)
    lines = 0.5 + 0.5 * np.cos(2 * np.pi * frame.y / draw.uniform(0.06, 0.08))
    base = ramp(0.22 - abs(frame.y - 0.3), 0.1)
    return length * lines**2 * base


def _curve(*points: tuple[float, float]) -> Array:
    """Returns a smooth line through the points, (K, 2)."""
    path = np.asarray(points, np.float32)
    for _ in range(2):  # Chaikin's corner cutting
        cut = np.empty((2 * len(path), 2), np.float32)
        cut[0], cut[-1] = path[0], path[-1]
        cut[1:-1:2] = 0.75 * path[:-1] + 0.25 * path[1:]
        cut[2:-1:2] = 0.25 * path[:-1] + 0.75 * path[1:]
        path = cut
    return path


def _wire(frame: Frame, path: Array, draw: Generator, width: float) -> Array:
    path = path + draw.normal(0, 0.012, 2).astype(np.float32)
    line = stroke(frame.x, frame.y, path, width, frame.soft)
    return draw.uniform(0.26, 0.42) * line


def _tracheal_tube(frame: Frame, status: Status, draw: Generator) -> Array:
    tip = draw.uniform(-0.46, -0.34)
    return _wire(frame, _curve((0.0, -1.15), (0.01, tip)), draw, 0.045)


def _right_line(frame: Frame, status: Status, draw: Generator) -> Array:
    tip = (-0.13, draw.uniform(-0.22, 0.02))
    start = ((-0.25, -1.1), (-0.95, -0.55))[draw.integers(2)]
    path = _curve(start, (-0.30, -0.68), (-0.16, -0.50), tip)
    return _wire(frame, path, draw, 0.032)


def _left_line(frame: Frame, status: Status, draw: Generator) -> Array:
    tip = (-0.11, draw.uniform(-0.18, 0.06))
    start = ((0.25, -1.1), (0.95, -0.55))[draw.integers(2)]
    path = _curve(start, (0.32, -0.66), (0.12, -0.50), (-0.10, -0.36), tip)
    return _wire(frame, path, draw, 0.032)


def _pacemaker(frame: Frame, status: Status, draw: Generator) -> Array:
    x, y = draw.uniform(0.56, 0.68), draw.uniform(-0.52, -0.42)
    dx, dy = abs(frame.x - x) / 0.12, abs(frame.y - y) / 0.095
    box = ramp(1 - (dx**4 + dy**4) ** 0.25, frame.soft / 0.09)
    path = _curve(
        (x, y), (0.40, -0.62), (0.05, -0.52), (-0.12, -0.20), (-0.06, 0.15),
        (draw.uniform(0.10, 0.25), draw.uniform(0.30, 0.40)),
    )  # fmt: skip
    return np.maximum(0.45 * box, _wire(frame, path, draw, 0.028))


def _feeding_tube(frame: Frame, status: Status, draw: Generator) -> Array:
    end = (draw.uniform(0.25, 0.45), draw.uniform(0.75, 0.95))
    path = _curve((0.03, -1.15), (0.02, -0.2), (0.05, 0.45), (0.12, 0.68), end)
    return _wire(frame, path, draw, 0.032)


_EFFECTS: dict[str, Callable[[Frame, Status, Generator], Array]] = {
    "consolidation": _consolidation,
    "pneumonia": _pneumonia,
    "atelectasis": _atelectasis,
    "nodule": _nodule,
    "effusion": _effusion,
    "pneumothorax": _pneumothorax,
    "cardiomegaly": _cardiomegaly,
    "edema": _edema,
    "tracheal tube": _tracheal_tube,
    "right line": _right_line,
    "left line": _left_line,
    "pacemaker": _pacemaker,
    "feeding tube": _feeding_tube,
}
