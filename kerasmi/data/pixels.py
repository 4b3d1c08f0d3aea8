"""Image files to gray PNGs, over all cores, in the order of the items."""

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from kerasmi.data import formats, stream
from kerasmi.data.contents import Contents
from kerasmi.data.probes import ImageRefused, Probe
from kerasmi.data.sources.base import Item

T = TypeVar("T")
_QUARTER = 2**14  # of 16 bits


class Converted(NamedTuple):
    """A gray PNG.

    Attributes:
        png: Its bytes.
        dark: Whether it has 16 bits and is below a quarter of their range;
            never where its own percentiles became black and white.
    """

    png: bytes
    dark: bool


class _Decoded(NamedTuple):
    """What `formats.to_pixels` gives."""

    pixels: np.ndarray
    deep: bool


class _Sent(NamedTuple):
    """What has gone to the graph, or was refused before it."""

    key: Any
    known: Probe | None
    reason: str
    own_range: bool


def convert(
    items: Iterable[tuple[T, Item]],
    contents: Contents,
    *,
    size: int,
    intensity: str = "auto",
    workers: int | None = None,
) -> Iterator[tuple[T, Converted | ImageRefused]]:
    """Decodes, scales and encodes images.

    Files are read by one thread, decoded by `workers`; a few images are in
    memory at a time, however many there are.

    Args:
        items: Keys and items.
        contents: Reads their files.
        size: Shorter side of the results, in pixels.
        intensity: One of `formats.INTENSITIES`.
        workers: Images decoded at once; None is one for each core.

    Yields:
        Each key with a gray PNG, or with why there is none, in the order of
        the items.
    """
    workers = workers or cores()
    sent: deque[_Sent] = deque()
    failure: list[BaseException] = []

    def read() -> Iterator[dict[str, Any]]:
        try:
            for key, item in items:
                try:
                    content = contents.read(item)
                    known = formats.probe(content)
                    image = formats.prepare(content, known, intensity)
                except ImageRefused as error:
                    sent.append(_Sent(key, None, str(error), False))
                    continue
                own_range = math.isnan(image["range"][0])
                sent.append(_Sent(key, known, "", own_range))
                yield image
        # TensorFlow would wrap it in an error of its own.
        except BaseException as error:
            failure.append(error)

    results = _results(_pipeline(read, size, workers))
    for outcome in results:
        yield from _refused(sent)
        if not sent and not isinstance(outcome, _Decoded):
            raise outcome  # of no image
        key, known, _, own_range = sent.popleft()
        if isinstance(outcome, _Decoded):
            yield key, _converted(outcome, own_range)
        elif known is not None:
            yield key, formats.refusal(outcome, known)
    yield from _refused(sent)
    if failure:
        raise failure[0]


def cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _pipeline(read: Any, size: int, workers: int) -> tf.data.Dataset:
    images = tf.data.Dataset.from_generator(
        read, output_signature=formats.SIGNATURE
    )
    made = images.map(
        stream.as_written(lambda image: formats.traced()(image, size)),
        num_parallel_calls=workers,
        deterministic=True,
    )
    options = tf.data.Options()
    options.threading.private_threadpool_size = workers + 1
    options.autotune.enabled = False
    return made.prefetch(workers).with_options(options)


def _converted(image: _Decoded, own_range: bool) -> Converted:
    dark = image.deep and not own_range and image.pixels.max() < _QUARTER
    return Converted(formats.encode(*image), bool(dark))


def _results(made: tf.data.Dataset) -> Iterator[_Decoded | tf.errors.OpError]:
    """Yields results and errors; after an error the next image follows."""
    iterator = iter(made)
    while True:
        try:
            pixels, deep = next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            yield error
        else:
            yield _Decoded(pixels.numpy(), bool(deep.numpy()))


def _refused(sent: deque[_Sent]) -> Iterator[tuple[Any, ImageRefused]]:
    while sent and sent[0].known is None:
        key, _, reason, _ = sent.popleft()
        yield key, ImageRefused(reason)
