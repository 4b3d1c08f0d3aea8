"""The phantom's subjects, how they are taken, and where that puts a thorax.

Everything is drawn in the thorax's own coordinates: x from -1 to 1, the
subject's right on the image's left, y from -1 (neck) to 1 (abdomen). A pose
maps them to the image, so a picture of any size shows the same thorax.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasmi.data.sources.phantom_shapes import (
    Array,
    column,
    ellipse,
    like,
    power,
    ramp,
    unit,
)


@dataclass(frozen=True)
class Anatomy:
    """A subject's build; the same in all the subject's images."""

    width: float  # of the thorax, from the midline to the lateral wall
    apex: float  # y of the lung tops
    dome: float  # y of the right diaphragm
    dome_difference: float  # how much lower the left diaphragm stands
    heart: float  # size of the heart, 1 on average
    heart_x: float
    aorta: float
    hila: float  # brightness of the hila
    vessels: float  # brightness of the vessels
    thickness: float  # attenuation of the soft tissue
    ribs: float  # brightness of the bones
    rib_spacing: float
    rib_phase: float
    breasts: float  # 0 where there is no breast shadow
    stomach: float  # size of the air bubble under the left diaphragm
    seed: int  # of the vessels

    @classmethod
    def draw(cls, generator: np.random.Generator) -> "Anatomy":
        """Draws a subject."""
        normal, uniform = generator.normal, generator.uniform
        return cls(
            width=normal(0.80, 0.025),
            apex=normal(-0.80, 0.025),
            dome=normal(0.45, 0.05),
            dome_difference=max(normal(0.07, 0.03), 0.02),
            heart=normal(1.0, 0.055),
            heart_x=normal(0.12, 0.015),
            aorta=uniform(0.06, 0.11),
            hila=uniform(0.09, 0.20),
            vessels=uniform(0.05, 0.14),
            thickness=normal(0.66, 0.04),
            ribs=uniform(0.05, 0.11),
            rib_spacing=uniform(0.155, 0.185),
            rib_phase=uniform(),
            breasts=uniform(0.04, 0.10) * (generator.random() < 0.5),
            stomach=uniform(0.07, 0.15) * (generator.random() < 0.5),
            seed=int(generator.integers(2**32)),
        )


@dataclass(frozen=True)
class Acquisition:
    """How one image was taken: the nuisance V^I of the paper's section 3."""

    rotation: float  # radians
    scale: float
    aspect: float
    shift: tuple[float, float]
    inspiration: float  # how much lower the diaphragm stands
    turn: float  # sideways displacement of the heart
    magnification: float  # of the heart; larger in an AP view
    gain: float
    gamma: float
    gradient: tuple[float, float]
    noise: float  # standard deviation, as a part of the full range
    texture: float  # of the lung's own grain
    crowding: float  # haze around the hila that is no edema
    view: str
    seed: int  # of the noise

    @classmethod
    def draw(cls, generator: np.random.Generator, view: str) -> "Acquisition":
        """Draws one exposure in the view `"PA"` or `"AP"`."""
        normal, uniform = generator.normal, generator.uniform
        portable = view == "AP"
        return cls(
            rotation=np.deg2rad(uniform(-6, 6)),
            scale=uniform(0.90, 1.04),
            aspect=uniform(0.95, 1.06),
            shift=(uniform(-0.07, 0.07), uniform(-0.07, 0.05)),
            inspiration=normal(-0.05 if portable else 0.02, 0.03),
            turn=normal(0.0, 0.02),
            magnification=1.05 if portable else 1.0,
            gain=uniform(0.86, 1.12),
            gamma=uniform(0.80, 1.25),
            gradient=(normal(0, 0.03), normal(0, 0.03)),
            noise=uniform(0.012, 0.032),
            texture=uniform(0.02, 0.05),
            crowding=uniform(0.0, 0.06),
            view=view,
            seed=int(generator.integers(2**32)),
        )


def _columns(of_each: Sequence[Any]) -> Any:
    """Returns Anatomies or Acquisitions as one, with columns for numbers."""
    first = of_each[0]
    numbers = [k for k, v in vars(first).items() if isinstance(v, float)]
    found = {k: column(getattr(one, k) for one in of_each) for k in numbers}
    return replace(first, **found)


@functools.lru_cache(maxsize=4)
def _pixels(size: int) -> Array:
    """Returns where the pixels of a side are, (size,) from -1 to 1."""
    return (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1


def _coordinates(taken: Acquisition, size: int) -> tuple[Array, Array]:
    """Returns x and y of the pixels in the thorax, (size, size) each."""
    at = _pixels(size)
    across, down = (
        at[None, :] - taken.shift[0],
        at[:, None] - taken.shift[1],
    )
    cos, sin = np.cos(taken.rotation), np.sin(taken.rotation)
    scale = np.float32(taken.scale)
    x = (cos * across + sin * down) / scale
    y = (cos * down - sin * across) / (scale * taken.aspect)
    return x.astype(np.float32, copy=False), y.astype(np.float32, copy=False)


class Frame:
    """The thorax's coordinates at each pixel, and the lungs in them.

    Of one picture, or of B at once: then arrays are (B, size, size) and
    the numbers of `anatomy` and `taken` columns.

    Attributes:
        x, y: (size, size) coordinates of the pixels.
        soft: Width of a sharp edge: about a pixel.
        lungs: `"right"` and `"left"` to (size, size) masks in [0, 1].
        air: (size, size), both lungs.
        pairs: The subject and the exposure of each picture.
    """

    def __init__(self, anatomy: Anatomy, taken: Acquisition, size: int):
        self.anatomy, self.taken, self.size = anatomy, taken, size
        self.pairs: Sequence[tuple[Anatomy, Acquisition]] = [(anatomy, taken)]
        self.x, self.y = _coordinates(taken, size)
        self._find_lungs()

    @classmethod
    def stack(
        cls, pairs: Sequence[tuple[Anatomy, Acquisition]], size: int
    ) -> "Frame":
        """Returns the frame of B pictures.

        Args:
            pairs: The subject and the exposure of each.
            size: Pixels of a side.
        """
        frame = cls.__new__(cls)
        anatomies, exposures = zip(*pairs, strict=True)
        frame.anatomy, frame.taken = _columns(anatomies), _columns(exposures)
        frame.size, frame.pairs = size, pairs
        places = [_coordinates(taken, size) for taken in exposures]
        frame.x, frame.y = (np.stack(z) for z in zip(*places, strict=True))
        frame._find_lungs()
        return frame

    def pictures(self) -> Iterator["Frame"]:
        """Yields the frame of each picture that was stacked."""
        for i, (anatomy, taken) in enumerate(self.pairs):
            frame = type(self).__new__(type(self))
            frame.anatomy, frame.taken = anatomy, taken
            frame.pairs = [(anatomy, taken)]
            frame.size, frame.soft = self.size, float(self.soft[i, 0, 0])
            frame.x, frame.y, frame.air = self.x[i], self.y[i], self.air[i]
            frame._walls = self._walls[0][i], self._walls[1][i]
            frame._outward = {s: a[i] for s, a in self._outward.items()}
            frame.lungs = {s: a[i] for s, a in self.lungs.items()}
            frame.normal_heart = self.normal_heart[i]
            yield frame

    def _find_lungs(self) -> None:
        self._outward = {"right": -self.x, "left": self.x}
        soft = 2 / self.size / self.taken.scale
        self.soft: Any = np.maximum(soft, 0.012)
        self._walls = self._wall(self.y), self._inner(self.y)
        self.lungs = {
            s: self.lung(s, self.outward(s)) for s in ("right", "left")
        }
        self.air = self.lungs["right"] + self.lungs["left"]

    def outward(self, side: str) -> Array:
        """Returns the distance from the midline towards a side, (size, size).

        In the thorax's units; below 0 on the other side.
        """
        return self._outward[side]

    def dome(self, side: str) -> float:
        """Returns the y at which a diaphragm is highest."""
        lower = self.anatomy.dome_difference if side == "left" else 0.0
        return self.anatomy.dome + lower + self.taken.inspiration

    def diaphragm(self, side: str, out: Array | float) -> Array:
        """Returns the y of a diaphragm at the distance `out`.

        Both in the thorax's units; of the shape of `out`.
        """
        away = out - np.float32(0.40)
        return self.dome(side) + np.where(away > 0, 1.25, 0.5) * away**2

    def heart(self, size: float) -> Array:
        """Returns the shadow of a heart, (size, size) in [0, 1].

        Args:
            size: Of its axes, as a multiple of the subject's normal heart.
        """
        anatomy, taken = self.anatomy, self.taken
        size = size * anatomy.heart * taken.magnification
        across = anatomy.heart_x + taken.turn + 0.06 * (size - 1)
        x = self.x - like(self.x, across)
        y = self.y - like(self.y, self.dome("right") - 0.17)
        cos, sin = np.cos(0.5), np.sin(0.5)
        long, short = 0.37 * size, 0.265 * size
        soft = self.soft + 0.04
        return ellipse(cos * x + sin * y, cos * y - sin * x, long, short, soft)

    @functools.cached_property
    def normal_heart(self) -> Array:
        """The shadow of the subject's normal heart, as `heart(1.0)`."""
        return self.heart(1.0)

    def wall(self, y: Array) -> Array:
        """Returns how far the lungs reach outwards at the height y.

        Both in the thorax's units; of the shape of `y`.
        """
        return self._walls[0] if y is self.y else self._wall(y)

    def _wall(self, y: Array) -> Array:
        depth = unit((y - like(y, self.anatomy.apex)) / 0.95)
        bow = np.sqrt(1 - power(1 - depth, 2.6))
        return like(y, self.anatomy.width) * bow

    def _inner(self, y: Array) -> Array:
        """How near to the midline they reach."""
        depth = unit((y - like(y, self.anatomy.apex)) / 0.6)
        return np.float32(0.125) + 0.17 * power(1 - depth, 3)

    def lung(self, side: str, out: Array, y: Array | None = None) -> Array:
        """Returns the mask of a lung at the distances `out` and `y`.

        Args:
            side: `"right"` or `"left"`.
            out: (size, size) distance from the midline, see `outward`.
            y: (size, size) height; None: that of the pixels.

        Returns:
            (size, size) in [0, 1].
        """
        y = self.y if y is None else y
        inner = self._walls[1] if y is self.y else self._inner(y)
        soft = self.soft
        inside = ramp(out - inner, soft + 0.03)
        inside *= ramp(self.wall(y) - out, soft + 0.02)
        return inside * ramp(self.diaphragm(side, out) - y, soft + 0.01)
