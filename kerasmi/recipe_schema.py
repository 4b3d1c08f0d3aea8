"""The sections of a recipe: what each value means, its unit, its default.

Defaults are the paper's. A value that would have no effect is refused, so a
recipe never says anything that the run does not do.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from kerasmi import presets
from kerasmi.recipe_section import (
    NAME,
    Section,
    field,
    flatten,
    nearest,
    no_effect,
    wrong,
)

Bound = Literal["mine", "cpc", "nwj", "jensen_shannon", "smile", "cpc_pooled"]
Negatives = Literal["global", "replica"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Schedule = Literal["constant", "cosine", "linear"]
Task = Literal["pathology9", "edema_severity", "findings"]
Encoder = Literal["frozen", "tuned", "image_only"]


def _preset(names: tuple[str, ...]) -> pydantic.AfterValidator:
    def known(name: str) -> str:
        if name not in names:
            hint = nearest(name, names) or f" Known: {', '.join(names)}."
            raise ValueError(f"no preset of that name: {name!r}.{hint}")
        return name

    return pydantic.AfterValidator(known)


def _choice(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError(
            f"expected one or more, each once. Received: {list(values)}"
        )
    return values


def _choice_or_none(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if values is None else _choice(values)


class Images(Section):
    """How many images the phantom draws."""

    train: int = field(4000, "Training images.", ge=2)
    validation: int = field(500, "Validation images.", ge=2)
    test: int = field(1000, "Test images.", ge=2)


_PHANTOM = {"source": ("phantom",)}


class Data(Section):
    """The images, their reports and their labels."""

    source: Literal["phantom", "records"] = field(
        "records",
        "`records`: a folder of images, reports and labels as TFRecords;"
        " `phantom`: the generated data set.",
    )
    path: Path | None = field(
        None,
        "Folder of the records; null with the phantom: made beside the runs"
        " on first use.",
        strict=False,
    )
    image_size: int = field(
        256, "Height and width of the images, in pixels.", ge=16, le=1024
    )
    images: Images = field(
        Images(), "How many images the phantom draws.", when=_PHANTOM
    )
    seed: int = field(0, "Seed of the phantom's patients.", when=_PHANTOM, ge=0)
    uncertain: Literal["ignore", "zeros", "ones"] = field(
        "ignore",
        "Labels that the report leaves uncertain (-1): left out, negative or"
        " positive.",
    )
    blank: Literal["ignore", "zero", "zero_if_no_finding"] = field(
        "ignore",
        "Findings that the report does not mention: left out, negative, or"
        " negative where the report says 'No Finding'.",
    )

    @pydantic.model_validator(mode="after")
    def _phantom_is_drawn_at_three_sizes(self) -> Self:
        if self.source == "phantom" and self.image_size not in (64, 128, 256):
            raise wrong(
                "image_size",
                "expected 64, 128 or 256 with `source: phantom`."
                f" Received: {self.image_size}",
            )
        return self


class ImageEncoder(Section):
    """The network that reads the image."""

    preset: Annotated[str, _preset(presets.IMAGE_PRESETS)] = field(
        "resnet_paper",
        "`resnet_paper` (256 pixels, 4x4x512 local features),"
        " `resnet_phantom` (64 pixels), `resnet256_6_2_1` (the authors'"
        " release) or a residual network of KerasHub.",
    )
    path: Path | None = field(
        None,
        "The authors' PyTorch checkpoint to start from; null: new weights.",
        when={"preset": (presets.RELEASED,)},
        strict=False,
    )


class TextEncoder(Section):
    """The network that reads the sentence or the report."""

    preset: Annotated[str, _preset(presets.TEXT_PRESETS)] = field(
        presets.CLINICAL_BERT,
        "`clinical_bert` (the checkpoint in `path`), `bert_phantom` (small,"
        " its vocabulary built from the training reports) or a BERT of"
        " KerasHub.",
    )
    path: Path | None = field(
        None,
        "Folder of the BERT checkpoint: Hugging Face, PyTorch, TensorFlow 1"
        " or `kerasmi encoder convert`.",
        when={"preset": (presets.CLINICAL_BERT,)},
        strict=False,
    )
    lower_case: bool | None = field(
        None,
        "Whether the checkpoint's text is lower-cased; null: as its files say.",
        when={"preset": (presets.CLINICAL_BERT,)},
    )
    pooling: Literal["cls", "pooler", "mean"] = field(
        "cls",
        "Text feature: the first token, BERT's pooler over it, or the mean of"
        " the tokens; also of a .keras file, whatever it was saved with.",
    )
    max_tokens: int = field(
        320, "Longest text, in tokens; the rest is cut.", ge=8, le=512
    )


_CONCAT = {"kind": ("concat",)}
_SEPARABLE = {"kind": ("separable",)}


class Critic(Section):
    """The network that scores an image feature with a text feature."""

    kind: Literal["concat", "separable"] = field(
        "concat",
        "`concat`: a perceptron over both features; `separable`: a similarity"
        " of their projections.",
    )
    hidden_dims: tuple[Annotated[int, pydantic.Field(ge=1)], ...] = field(
        (1024, 512),
        "Units of the hidden layers.",
        when=_CONCAT,
        strict=False,
        min_length=1,
    )
    normalize: bool = field(
        False, "Batch normalisation of both features.", when=_CONCAT
    )
    dim: int = field(
        128, "Size of the projections, in units.", when=_SEPARABLE, ge=1
    )
    similarity: Literal["cosine", "inner"] = field(
        "cosine", "Similarity of the projections.", when=_SEPARABLE
    )


class Objective(Section):
    """The mutual information that pretraining maximises."""

    bound: Bound = field(
        "mine",
        "Lower bound in nats: `mine` (Eq. 3), `cpc` (Eq. 4), `nwj`; in nats,"
        " but no lower bound: `smile`; not nats of information:"
        " `jensen_shannon`, `cpc_pooled` (the authors' release).",
    )
    scope: Literal["local", "global"] = field(
        "local",
        "`local`: image regions with sentences (Eq. 5); `global`: the image"
        " with its report.",
    )
    region: Literal["max", "matched", "logsumexp", "mean"] = field(
        "max",
        "How the scores of the regions become the score of the image;"
        " `matched` gives no bound on the mutual information.",
        when={"scope": ("local",)},
    )
    temperature: float = field(
        1.0,
        "Softness of the maximum, in nats; towards 0 it becomes `max`.",
        when={"region": ("logsumexp",)},
        gt=0,
    )
    final_temperature: float | None = field(
        None,
        "Temperature at the last step of pretraining, approached by a constant"
        " factor a step: from `logsumexp` towards `max`; null: it stays.",
        when={"region": ("logsumexp",)},
        gt=0,
    )
    direction: Literal["image_to_text", "text_to_image", "symmetric"] = field(
        "image_to_text",
        "Which side is told apart from its negatives.",
        when={"bound": ("cpc",)},
    )
    momentum: float = field(
        0.99,
        "Share of the past in the moving average of the denominator, per step.",
        when={"bound": ("mine",)},
        ge=0,
        lt=1,
    )
    clip: float = field(
        5.0,
        "Where the log density ratio is clipped, in nats.",
        when={"bound": ("smile",)},
        gt=0,
    )


class Augmentation(Section):
    """Random changes of the training images; no flip, sides matter."""

    rotation: float = field(
        20.0, "Largest rotation either way, in degrees.", ge=0, le=180
    )
    scale: float = field(
        0.1, "Largest change of size, as a fraction: the crop.", ge=0, le=0.9
    )
    translation: float = field(
        0.1, "Largest shift, as a fraction of the image.", ge=0, lt=1
    )


class Pretrain(Section):
    """The representation learning phase."""

    epochs: int = field(5, "Passes over the training images.", ge=1)
    batch_size: int = field(64, "Images in a step, over all devices.", ge=2)
    accumulate: int = field(
        1,
        "Parts that the images of a step are encoded in, one after the other:"
        " the gradient of the whole batch in the memory of a part; a divisor"
        " of `batch_size`.",
        ge=1,
    )
    sentences: int = field(
        1,
        "Sentences drawn from each report in a step, with the local scope.",
        ge=1,
    )
    learning_rate: float = field(
        5e-4, "Adam, for the image encoder and the critic, per step.", gt=0
    )
    text_learning_rate: float = field(
        5e-4, "AdamW, for the text encoder, per step.", gt=0
    )
    weight_decay: float = field(
        0.01, "AdamW's decay of the text encoder's kernels, per step.", ge=0
    )
    warmup_steps: int = field(
        0, "Steps in which both learning rates rise from zero.", ge=0
    )
    schedule: Schedule = field(
        "constant", "How both learning rates fall to the last step."
    )
    negatives: Negatives = field(
        "global",
        "Where a pair's negatives come from: the batch of all devices, or each"
        " device's own share (another objective, with a lower ceiling).",
    )
    augmentation: Augmentation | None = field(
        Augmentation(), "Random changes of the images; null: none."
    )

    @pydantic.model_validator(mode="after")
    def _parts_are_equal(self) -> Self:
        if self.batch_size % self.accumulate:
            raise wrong(
                "accumulate",
                "expected a divisor of `batch_size`,"
                f" {self.batch_size}. Received: {self.accumulate}",
            )
        return self


_PATHOLOGY, _SEVERITY = "pathology9", "edema_severity"
_FINDINGS, _DEGREES = "findings", "Edema Severity"


def labels_of(value: Any) -> int | float | None:
    """A number of labelled images, a fraction of them, or None for all."""
    if value is None or value == "all":
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, int) and number and value < 2:
        raise ValueError(f"expected at least 2. Received: {value}")
    if not number or (isinstance(value, float) and not 0 < value < 1):
        raise ValueError(
            "expected a whole number of images, a fraction between 0 and 1, or"
            f" all. Received: {value!r}"
        )
    return value


Labels = Annotated[int | float | None, pydantic.PlainValidator(labels_of)]


class Retrain(Section):
    """The supervised training of the image classifier."""

    tasks: Annotated[tuple[Task, ...], pydantic.AfterValidator(_choice)] = (
        field(
            (_PATHOLOGY, _SEVERITY),
            "What the classifier predicts: the paper's two tasks, or"
            " `findings`, labels of your own.",
            strict=False,
        )
    )
    findings: Annotated[
        tuple[str, ...] | None, pydantic.AfterValidator(_choice_or_none)
    ] = field(
        None,
        "Labels of the task `findings`, as the data set names them; each is"
        " present or absent.",
        strict=False,
    )
    encoders: Annotated[
        tuple[Encoder, ...], pydantic.AfterValidator(_choice)
    ] = field(
        ("frozen", "tuned"),
        "`frozen`: up to the local features; `tuned`: nothing frozen;"
        " `image_only`: no pretraining.",
        strict=False,
    )
    labels: Labels = field(
        None,
        "Labelled training images for each task: a number, or a fraction of"
        " them; null or all: all. Fewer are the first of more.",
    )
    epochs: int = field(50, "Passes over the labelled images.", ge=1)
    batch_size: int = field(64, "Images in a step, over all devices.", ge=2)
    learning_rate: float = field(5e-4, "Adam, per step.", gt=0)
    schedule: Schedule = field(
        "constant", "How the learning rate falls to the last step."
    )
    heads: Literal["multilabel", "binary"] = field(
        "multilabel",
        "Networks of `pathology9` and `findings`: one for all labels, or one"
        " for each (the authors').",
    )
    severity_head: Literal["softmax", "cumulative"] = field(
        "softmax",
        "Head of `edema_severity`: four classes, or three thresholds in order.",
    )
    augmentation: Augmentation | None = field(
        Augmentation(), "Random changes of the images; null: none."
    )

    def idle(self, name: str) -> str | None:
        """Why the key `name` has no effect in this section, if it has none."""
        needed = {
            "findings": (_FINDINGS,),
            "heads": (_PATHOLOGY, _FINDINGS),
            "severity_head": (_SEVERITY,),
        }
        among = needed.get(name, self.tasks)
        if not set(among) & set(self.tasks):
            return f"without {' or '.join(map(repr, among))} in `tasks`"
        return super().idle(name)

    @pydantic.model_validator(mode="after")
    def _findings_are_named(self) -> Self:
        if _FINDINGS in self.tasks and not self.findings:
            raise wrong(
                "findings",
                f"expected the labels of the task '{_FINDINGS}';"
                " `kerasmi data inspect` lists those of a data set",
            )
        if _DEGREES in (self.findings or ()):
            raise wrong(
                "findings",
                f"'{_DEGREES}' is a degree from 0 to 3, not present or absent;"
                " train it with the task 'edema_severity'",
            )
        return self


class Evaluate(Section):
    """The figures on the test images."""

    bootstrap: int = field(
        1000, "Resamples of the patients, for the intervals.", ge=1
    )
    confidence: float = field(
        0.95, "Coverage of the intervals, as a fraction.", gt=0, lt=1
    )


class Recipe(Section):
    """An experiment: pretrain, retrain, evaluate.

    Without an `objective` nothing is pretrained: the image-only benchmark.
    An `objective` alone is pretrained as the paper's; `pretrain` says how
    else.
    """

    name: str | None = field(
        None,
        "Name of the run's folder; null: the name of the file.",
        pattern=NAME,
    )
    seed: int = field(
        0, "Seed of weights, batches, augmentation and dropout.", ge=0
    )
    precision: Precision = field(
        "float32",
        "Arithmetic of the networks: float32, or half precision with weights,"
        " scores, bounds and probabilities in float32; `mixed_float16` scales"
        " the loss, on one device.",
    )
    intra_op_threads: int | None = field(
        None,
        "Threads that one operation on the processor may share; null: all"
        " cores. Small networks are faster with 1: operations, and two"
        " re-trainings, then run side by side, and the result is the same on"
        " any number of cores.",
        ge=1,
    )
    data: Data = field(Data(), "The images, their reports and their labels.")
    image_encoder: ImageEncoder = field(
        ImageEncoder(), "The network that reads the image."
    )
    text_encoder: TextEncoder = field(
        TextEncoder(), "The network that reads the sentence or the report."
    )
    critic: Critic = field(
        Critic(), "The network that scores an image with a text."
    )
    objective: Objective | None = field(
        None, "The mutual information that pretraining maximises; null: none."
    )
    pretrain: Pretrain | None = field(
        None, "The representation learning phase; null: none."
    )
    retrain: Retrain = field(
        Retrain(), "The supervised training of the image classifier."
    )
    evaluate: Evaluate = field(Evaluate(), "The figures on the test images.")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _an_objective_is_pretrained(cls, values: Any) -> Any:
        """Fill in the paper's pretraining where only the objective is said."""
        if isinstance(values, dict) and values.get("objective") is not None:
            return {"pretrain": Pretrain(), **values}
        return values

    def idle(self, name: str) -> str | None:
        """Why the key `name` has no effect in this section, if it has none."""
        paired = ("text_encoder", "critic", "pretrain")
        if name in paired and self.objective is None:
            return "without an `objective`"
        return super().idle(name)

    def settings(self) -> dict[str, Any]:
        """Every value that has an effect, under its dotted key."""
        values = dict(flatten(self))
        if self.objective is not None and self.objective.scope == "global":
            del values["pretrain.sentences"]
        return values

    @pydantic.model_validator(mode="after")
    def _sections_agree(self) -> Self:
        for key, message in self._disagreements():
            raise wrong(key, message)
        return self

    def _disagreements(self) -> Iterator[tuple[str, str]]:
        if self.objective is not None and self.pretrain is None:
            yield "pretrain", "expected a section beside an `objective`"
        self._refuse_sentences_of_a_global_objective()
        yield from self._encoders_that_do_not_fit()
        yield from self._sizes_that_do_not_fit()

    def _refuse_sentences_of_a_global_objective(self) -> None:
        if self.objective is None or self.pretrain is None:
            return
        given = "sentences" in self.pretrain.model_fields_set
        if given and self.objective.scope == "global":
            raise no_effect(
                "pretrain.sentences", "with `objective.scope: global`"
            )

    def _encoders_that_do_not_fit(self) -> Iterator[tuple[str, str]]:
        if self.objective is None:
            fitting, where = {"image_only"}, "[image_only] without"
        else:
            fitting, where = {"frozen", "tuned"}, "'frozen' or 'tuned' with"
        for encoder in self.retrain.encoders:
            if encoder not in fitting:
                yield (
                    "retrain.encoders",
                    f"expected {where} an `objective`. Received: '{encoder}'",
                )

    def _sizes_that_do_not_fit(self) -> Iterator[tuple[str, str]]:
        if self.data.source != "phantom":
            return
        train = self.data.images.train
        sizes = {"retrain.labels": self.retrain.labels}
        if self.pretrain is not None:
            sizes["pretrain.batch_size"] = self.pretrain.batch_size
        for key, size in sizes.items():
            if size is not None and size > train:
                yield (
                    key,
                    f"expected at most `data.images.train`, {train}."
                    f" Received: {size}",
                )
