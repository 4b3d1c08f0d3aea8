"""The wire format: one `Record` as one `tf.train.Example`.

Labels are int8 with -1 (uncertain) and -2 (blank) kept: what they mean is
decided when they are read (`kerasmi.data.labels`), not when they are stored.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from kerasmi.data.schema import BLANK, Record, study_number
from kerasmi.types import Tensor

_TEXTS = (
    "image_id",
    "study_id",
    "subject_id",
    "split",
    "view",
    "findings",
    "impression",
    "source",
)
_SCALAR = tf.io.FixedLenFeature((), tf.string)
_LIST = tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)
_FEATURES = {
    "image": _SCALAR,
    **dict.fromkeys(_TEXTS, _SCALAR),
    "study_number": tf.io.FixedLenFeature((), tf.int64),
    "labels": _SCALAR,
    "truth": _SCALAR,
    "sentences": _LIST,
    "sentence_findings": _LIST,
    "sentence_regions": _LIST,
    "region_findings": _LIST,
    "regions": _LIST,
}


def encode(record: Record, label_names: Sequence[str]) -> bytes:
    """Returns a record as a serialised `tf.train.Example`.

    The same record gives the same bytes in every process.

    Args:
        record: The record; labels that it lacks are stored as blank.
        label_names: The data set's labels, in order.
    """
    regions = record.regions or {}
    truth = record.truth
    strings = {
        "image": [record.image],
        **{name: [getattr(record, name)] for name in _TEXTS},
        "labels": [_pack(record.labels, label_names)],
        "truth": [b"" if truth is None else _pack(truth, label_names)],
        "sentences": record.sentences,
        "sentence_findings": record.sentence_findings,
        "sentence_regions": record.sentence_regions,
        "region_findings": regions.keys(),
        "regions": regions.values(),
    }
    example = tf.train.Example()
    feature = example.features.feature
    for name, values in strings.items():
        # Filled where it is: a message that is handed over is copied.
        held = feature[name].bytes_list
        held.SetInParent()  # no string is a list of none
        held.value.extend(_bytes(value) for value in values)
    number = study_number(record.study_id)
    feature["study_number"].int64_list.value.append(number)
    return example.SerializeToString(deterministic=True)


def decode(
    serialized: bytes, label_names: Sequence[str], has_regions: bool
) -> Record:
    """Returns the record that `encode` was given.

    Args:
        serialized: One record of a shard.
        label_names: The data set's labels, in order.
        has_regions: Whether the data set stores region maps.
    """
    feature = tf.train.Example.FromString(serialized).features.feature

    def values(name: str) -> list[bytes]:
        return list(feature[name].bytes_list.value)

    truth = values("truth")[0]
    findings = (name.decode() for name in values("region_findings"))
    regions = dict(zip(findings, values("regions"), strict=True))
    return Record(
        image=values("image")[0],
        **{name: values(name)[0].decode() for name in _TEXTS},
        sentences=tuple(text.decode() for text in values("sentences")),
        labels=_unpack(values("labels")[0], label_names),
        truth=_unpack(truth, label_names) if truth else None,
        regions=regions if has_regions else None,
        sentence_findings=tuple(
            name.decode() for name in values("sentence_findings")
        ),
        sentence_regions=tuple(values("sentence_regions")),
    )


def parse(
    serialized: Tensor, names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """Reads features of a batch of records, in the graph.

    Args:
        serialized: `(B,)` strings.
        names: The features to read; None reads all.

    Returns:
        A `(B,)` tensor for each name; `labels` and `truth` are the bytes of
        int8 values; lists (`sentences`, ...) are ragged `(B, None)`.
    """
    wanted = _FEATURES if names is None else {n: _FEATURES[n] for n in names}
    return tf.io.parse_example(serialized, wanted)


def _pack(labels: Mapping[str, int], names: Sequence[str]) -> bytes:
    return np.asarray([labels.get(n, BLANK) for n in names], np.int8).tobytes()


def _unpack(values: bytes, names: Sequence[str]) -> dict[str, int]:
    return dict(
        zip(names, np.frombuffer(values, np.int8).tolist(), strict=True)
    )


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
