"""Local mutual information in plain Keras: pre-train, then re-train.

python examples/quickstart.py --help
"""

import argparse
from pathlib import Path

import keras

import kerasmi
from kerasmi.data.sources.phantom import Phantom, generate
from kerasmi.errors import KerasmiError


def main(folder: Path, images: int, epochs: int) -> None:
    """Trains on `images` phantom pairs and writes two models."""
    # 1. Records: any source goes through the same shards and pipeline.
    phantom = Phantom(train=images, validation=images // 4, test=images // 4)
    first = next(generate(phantom))
    dataset = kerasmi.data.write(
        generate(phantom),
        folder / "data",
        name="phantom",
        source="phantom",
        label_names=tuple(first.labels),
        made_by={"images": images},
        image_size=phantom.size,
    )

    # 2. Two encoders and a critic make the model.
    reports = (r.report for r in kerasmi.data.read(dataset, "train"))
    vocabulary = kerasmi.models.build_vocabulary(reports)
    model = kerasmi.ImageTextModel(
        kerasmi.ImageEncoder.from_preset("resnet_phantom", level="local"),
        kerasmi.TextEncoder.phantom(vocabulary),
        kerasmi.ConcatCritic(hidden_dims=(64, 32), normalize=True),
        region="logsumexp",
    )
    model.compile(
        kerasmi.optimizers.paper(model, 2e-3, 1e-3, warmup_steps=50),
        loss="mine",  # or "cpc", or any kerasmi.losses.BoundLoss
    )

    # 3. Image-sentence pairs, streamed; fit, callbacks and saving are Keras's.
    settings = {
        "tokenizer": kerasmi.Tokenizer(model.text_encoder.tokenizer),
        "scope": "local",
        "sentences": 6,
        "batch_size": 16,
        "image_size": phantom.size,
    }
    train, steps = kerasmi.data.pairs(
        dataset, "train", shuffle=True, epochs=epochs, **settings
    )
    held_out, _ = kerasmi.data.pairs(
        dataset, "validation", shuffle=False, **settings
    )
    model.fit(
        train,
        validation_data=held_out,
        epochs=epochs,
        steps_per_epoch=steps,
        shuffle=False,
        callbacks=[
            keras.callbacks.ModelCheckpoint(
                folder / "pretrained.keras",
                monitor="val_mutual_information",  # nats
                mode="max",
                save_best_only=True,
            )
        ],
    )
    model = keras.saving.load_model(folder / "pretrained.keras")

    # 4. The image encoder becomes a classifier, here with its lower part fixed.
    classifier = kerasmi.ImageClassifier(
        model.image_encoder, labels=("Edema",), trainable="frozen"
    )
    classifier.compile(keras.optimizers.Adam(5e-4))
    labelled, steps = kerasmi.data.labelled(
        dataset,
        "train",
        labels=["Edema"],
        batch_size=32,
        image_size=phantom.size,
        shuffle=True,
        epochs=epochs,
    )
    classifier.fit(
        labelled, epochs=epochs, steps_per_epoch=steps, shuffle=False
    )
    classifier.save(folder / "classifier.keras")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    try:
        main(arguments.folder, arguments.images, arguments.epochs)
    except KerasmiError as error:
        # such as a folder that holds the data of another number of images
        parser.exit(2, f"Error: {error}\n")
