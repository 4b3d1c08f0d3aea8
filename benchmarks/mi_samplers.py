"""Pairs whose mutual information is known exactly, in nats.

Gaussians; four tasks of benchmark-mi ("Beyond Normal", Czyz et al., NeurIPS
2023), written anew from their definitions; and images of discrete statuses
with sentences that name one of them, the paper's generative model in small.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Task:
    """A law of pairs (x, y) and its mutual information.

    Attributes:
        name: what is printed; for benchmark-mi's tasks its own identifier.
        truth: nats.
        sample: `(number, generator)` to `(number, D_x)` and `(number, D_y)`.
    """

    name: str
    truth: float
    sample: Callable[[int, np.random.Generator], Pairs]


def gaussian(name: str, covariance: np.ndarray, dim_x: int) -> Task:
    """Jointly Gaussian: `(log det S_x + log det S_y - log det S) / 2`."""
    log_det = [
        np.linalg.slogdet(part)[1]
        for part in (
            covariance[:dim_x, :dim_x],
            covariance[dim_x:, dim_x:],
            covariance,
        )
    ]
    root = np.linalg.cholesky(covariance)

    def sample(number: int, generator: np.random.Generator) -> Pairs:
        z = generator.standard_normal((number, len(root))) @ root.T
        return z[:, :dim_x], z[:, dim_x:]

    return Task(name, (log_det[0] + log_det[1] - log_det[2]) / 2, sample)


def correlated(information: float, dim: int = 20) -> Task:
    """`dim` pairs of one correlation, `information` nats in all."""
    rho = correlation(information, dim)
    covariance = np.kron([[1.0, rho], [rho, 1.0]], np.eye(dim))
    return gaussian(f"Gaussian d={dim}, {information} nats", covariance, dim)


def correlation(information: float, dim: int = 20) -> float:
    """The correlation with which `dim` pairs share `information` nats."""
    return math.sqrt(1 - math.exp(-2 * information / dim))


def log_ratio(x: np.ndarray, y: np.ndarray, information: float) -> np.ndarray:
    """`log p(x, y) / p(x) p(y)` of `correlated`, of every x with every y."""
    rho = correlation(information, x.shape[1])
    squares = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :]
    exponent = 2 * rho * x @ y.T - rho**2 * squares
    return information + exponent / (2 * (1 - rho**2))


def _bivariate_normal() -> Task:
    covariance = np.array([[1.0, 0.75], [0.75, 1.0]])
    return gaussian("1v1-normal-0.75", covariance, 1)


def _dense_normal() -> Task:
    covariance = np.full((50, 50), 0.5) + 0.5 * np.eye(50)
    return gaussian("multinormal-dense-25-25-0.5", covariance, 25)


def _additive_noise(noise: float = 0.1) -> Task:
    # y = x + u, x in [0, 1], u in [-noise, noise], both uniform.
    def sample(number: int, generator: np.random.Generator) -> Pairs:
        x = generator.random((number, 1))
        return x, x + generator.uniform(-noise, noise, (number, 1))

    truth = math.log(1 / (2 * noise)) + noise
    return Task(f"1v1-additive-{noise}", truth, sample)


def _spiral(strength: float = 2.0) -> Task:
    # Two of three coordinates correlate; then each vector turns by its square.
    rho = strength**2 / (1 + strength**2)
    covariance = np.kron([[1, 0], [0, 1.0]], np.eye(3))
    for one in (0, 1):
        covariance[one, one + 3] = covariance[one + 3, one] = rho
    base = gaussian("", covariance, 3)

    def sample(number: int, generator: np.random.Generator) -> Pairs:
        x, y = base.sample(number, generator)
        return _turn(x, 0, 1), _turn(y, 1, 2)

    # Turning is one to one: it leaves the information as it is.
    name = f"spiral-multinormal-sparse-3-3-2-{strength}"
    return Task(name, base.truth, sample)


def _turn(x: np.ndarray, first: int, second: int) -> np.ndarray:
    angle = (x**2).sum(1) / x.shape[1]
    turned = x.copy()
    turned[:, first] = (
        np.cos(angle) * x[:, first] - np.sin(angle) * x[:, second]
    )
    turned[:, second] = (
        np.sin(angle) * x[:, first] + np.cos(angle) * x[:, second]
    )
    return turned


BENCHMARK_MI = (
    _bivariate_normal(),
    _dense_normal(),
    _additive_noise(),
    _spiral(),
)


def channel_information(statuses: int, flip: float) -> float:
    """Uniform status through a symmetric channel: log K + sum of q log q."""
    information = math.log(statuses)
    if flip:
        information += (1 - flip) * math.log(1 - flip)
        information += flip * math.log(flip / (statuses - 1))
    return information


@dataclasses.dataclass(frozen=True)
class Statuses:
    """Images of regions with a status each, and sentences about some of them.

    A region's features are its status (a rotated one-hot), noise of its own
    and where it is; a sentence's are the region's name, the status told, and
    noise of its own. The noises tell nothing, so the information is that of
    the statuses: `sentences` times that of the channel.

    Attributes:
        regions: N.
        statuses: K, uniform and independent.
        flip: the chance that a sentence tells another status.
        sentences: of the report, about distinct regions.
        related: whether a report is of its image; else of another one.
    """

    regions: int = 4
    statuses: int = 4
    flip: float = 0.0
    sentences: int = 1
    related: bool = True

    @property
    def truth(self) -> float:
        """I(image; report), in nats."""
        if not self.related:
            return 0.0
        return self.sentences * channel_information(self.statuses, self.flip)

    def draw(
        self, number: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Statuses `(n, N)`, named regions and statuses told, `(n, m)`."""
        status = generator.integers(self.statuses, size=(number, self.regions))
        named = generator.permuted(
            np.tile(np.arange(self.regions), (number, 1)), axis=1
        )[:, : self.sentences]
        of = status if self.related else generator.permutation(status)
        told = np.take_along_axis(of, named, axis=1)
        # A wrong status is one of the other K - 1.
        wrong = generator.integers(1, self.statuses, told.shape)
        flipped = generator.random(told.shape) < self.flip
        told = np.where(flipped, (told + wrong) % self.statuses, told)
        return status, named, told

    def sample(self, number: int, generator: np.random.Generator) -> Pairs:
        """Features `(n, N, D_image)` and `(n * m, D_text)`, float32."""
        status, named, told = self.draw(number, generator)
        one_hot, where = np.eye(self.statuses), np.eye(self.regions)
        # The same rotation for every call: it is part of the task.
        rotation, _ = np.linalg.qr(
            np.random.default_rng(1).standard_normal((self.statuses,) * 2)
        )
        image = np.concatenate(
            [
                one_hot[status] @ rotation,
                generator.standard_normal((*status.shape, 4)),
                np.broadcast_to(where, (number, *where.shape)),
            ],
            axis=-1,
        )
        text = np.concatenate(
            [
                where[named],
                one_hot[told],
                generator.standard_normal((*told.shape, 4)),
            ],
            axis=-1,
        )
        text = text.reshape(-1, text.shape[-1])
        return image.astype("float32"), text.astype("float32")
