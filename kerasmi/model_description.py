"""What an exported model takes, gives, and how its files are loaded."""

import keras

from kerasmi import reloading
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.text_encoder import TextEncoder
from kerasmi.reporter import counted
from kerasmi.runs import Run


def about(run: Run, model: keras.Model) -> str:
    """What goes in and what comes out, as a list in Markdown."""
    if isinstance(model, TextEncoder):
        return _about_text(run, model)
    height, width, channels = model.input_shape[1:]
    goes_in = (
        f"- in: `images` (B, {height}, {width}, {channels}), float32 in"
        " [0, 1]: grayscale, its shorter side resized, its centre cropped,"
        " not flipped"
    )
    if isinstance(model, ImageClassifier):
        what = {
            "multilabel": f"probabilities of {', '.join(model.labels)}",
            "softmax": f"probabilities of {model.labels[0]} 0, 1, 2, 3",
            "cumulative": f"probabilities of {model.labels[0]} >= 1, 2, 3",
        }[model.head]
        units = model.output_shape[-1]
        return f"{goes_in}\n- out: `probabilities` (B, {units}): {what}"
    _, regions, dim = model.output_shape
    rows, columns = model.grid
    local = f"regions of a {rows}x{columns} grid, row by row"
    what = local if model.level == "local" else "the whole image"
    return (
        f"- network: `{run.recipe.image_encoder.preset}`, its {model.level}"
        f" level\n{goes_in}\n- out: `features` (B, {regions}, {dim}): {what}"
    )


def _about_text(run: Run, model: TextEncoder) -> str:
    backbone, tokenizer = model.backbone, model.tokenizer
    casing = "lower-cased" if tokenizer.lowercase else "cased"
    return (
        f"- network: BERT, {counted(backbone.num_layers, 'layer')} of"
        f" {backbone.hidden_dim}; {model.gelu} GELU\n"
        f"- text: {casing}, {tokenizer.vocabulary_size()} word pieces; at most"
        f" {run.recipe.text_encoder.max_tokens} in training, [CLS] and [SEP]"
        " included\n"
        "- in: `token_ids` and `padding_mask` (B, L), int32\n"
        f"- out: `features` (B, {model.dim}), pooling `{model.pooling}`"
    )


def use(model: keras.Model, forms: list[str]) -> str:
    """How each of the files `forms` is loaded, as code in Markdown.

    What the code imports is all that has to be installed.
    """
    loading = dict(_LOADING)
    notes = ["`example.npz` holds inputs and outputs."]
    if isinstance(model, TextEncoder):
        precision = model.backbone.dtype_policy.name
        # KerasHub reads a preset in the precision of the session
        kept = "" if precision == "float32" else f', dtype="{precision}"'
        loading[reloading.PRESET] = _HUB[model.gelu] + _LOAD_PRESET % kept
        if {reloading.SAVED_MODEL, reloading.ONNX} & set(forms):
            notes.append(_PIECES)
        if reloading.PRESET in forms:
            notes.append(
                "`preset/` is BERT alone; its features are"
                f" {_POOLED[model.pooling]}."
            )
    code = "\n\n".join(loading[name] for name in forms)
    return f"```python\n{code}\n```\n\n{' '.join(notes)}"


_LOADING = {
    reloading.KERAS: "import kerasmi.models, keras\n"
    'model = keras.saving.load_model("model.keras")',
    reloading.SAVED_MODEL: "import tensorflow as tf\n"
    'serve = tf.saved_model.load("saved_model")'
    '.signatures["serving_default"]',
    reloading.PRESET: "import kerasmi\n"
    'model = kerasmi.ImageEncoder.from_preset("preset")',
    reloading.ONNX: "import onnxruntime\n"
    'session = onnxruntime.InferenceSession("model.onnx")',
}
_HUB = {
    "exact": "import kerasmi.models, keras_hub  # KerasHub has no exact GELU\n",
    "tanh": "import keras_hub\n",
}
_LOAD_PRESET = (
    'bert = keras_hub.models.Backbone.from_preset("preset"%s)\n'
    'tokenizer = keras_hub.tokenizers.Tokenizer.from_preset("preset")'
)
_PIECES = (
    "The SavedModel and the ONNX file take word pieces, not text: cut it with"
    " the tokenizer in `model.keras` or `preset/`, [CLS] first and [SEP] last."
)
_POOLED = {
    "cls": '`bert(inputs)["sequence_output"][:, 0]`',
    "pooler": '`bert(inputs)["pooled_output"]`',
    "mean": 'the mean of `bert(inputs)["sequence_output"]` over the tokens'
    " whose `padding_mask` is 1",
}
