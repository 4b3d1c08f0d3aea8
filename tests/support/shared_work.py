"""What two replicas train, in one process or as two workers of TF_CONFIG.

Run as a program it is one worker, and writes what it has to FOLDER/INDEX.npz.
The first start of worker 1 kills itself, in a training that is resumed.
"""

import os
import signal
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from dense_models import TEXTS, dense_model
from small_models import batch

from kerasmi import callbacks, cluster, distribute, resuming
from kerasmi import recipe as recipes
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.reporter import Reporter
from kerasmi.runs import Run
from kerasmi.worker_run import WorkerRun

# Two images of study 0 on the first replica, one on the second.
STUDIES = np.array([0, 0, 1, 2, 0, 1, 3, 4])
STEPS = 3


def batches():
    studies = (STUDIES + 10 * np.arange(STEPS)[:, None]).ravel()
    inputs = batch(8 * STEPS, TEXTS, studies=studies)
    return tf.data.Dataset.from_tensor_slices(inputs).batch(8)


def compiled(strategy):
    with strategy.scope():
        model = dense_model("logsumexp")
        model.compile(keras.optimizers.SGD(0.1), loss="mine")
    return model


def joint(strategy):
    """Weights and logs of the joint model after `fit`."""
    model = compiled(strategy)
    logs = model.fit(
        batches(), validation_data=batches(), verbose=0, shuffle=False
    ).history
    average = model.objective.log_average.numpy()
    return {
        **_weights("joint", model),
        **{f"logs/{name}": values[0] for name, values in logs.items()},
        "average": average,
    }


def own_loop(strategy):
    """Weights after the loop of docs/scale.md, which asks nothing of `fit`."""
    model = compiled(strategy)

    @tf.function
    def step(inputs):
        return strategy.run(model.train_step, args=(inputs,))

    for inputs in strategy.experimental_distribute_dataset(batches()):
        step(inputs)
    return _weights("loop", model)


def classifier(strategy):
    """Weights of a classifier; its last batch is 5 images for 2 replicas."""
    rng = np.random.default_rng(0)
    images = rng.random((13, 16, 16, 1), np.float32)
    targets = rng.integers(-1, 2, (13, 2)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((images, targets))
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = ImageClassifier(_encoder(), ("A", "B"))
        model.compile(keras.optimizers.SGD(0.05))
    logs = model.fit(
        data.batch(8).repeat(2),
        epochs=2,
        steps_per_epoch=2,
        verbose=0,
        shuffle=False,
    ).history
    return {**_weights("classifier", model), "classifier_loss": logs["loss"]}


def _encoder():
    layers = keras.layers
    lower = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.AveragePooling2D(4),
            layers.Dense(4),
            layers.BatchNormalization(synchronized=True),
        ],
        name="lower",
    )
    upper = keras.Sequential(
        [keras.Input((4, 4, 4)), layers.Dense(3), layers.ReLU()], name="upper"
    )
    return ImageEncoder(lower, upper)


def _weights(name, model):
    found = enumerate(model.get_weights())
    return {f"{name}/{number:02}": weight for number, weight in found}


def as_shipped(strategy):
    """What Keras's own model says to `fit` on dicts; empty if it works."""
    with strategy.scope():
        inputs = {"x": keras.Input((2,), name="x")}
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs["x"]))
        model.compile("sgd", loss="mse")
    data = ({"x": np.ones((4, 2))}, np.ones((4, 1)))
    try:
        model.fit(tf.data.Dataset.from_tensors(data), verbose=0)
    except Exception as error:
        return {"as_shipped": type(error).__name__}
    return {"as_shipped": ""}


def chief_first(strategy, folder):
    """Whether the file that the chief makes is there."""
    made = folder / "made"
    with distribute.chief_first(strategy):
        if cluster.here().is_chief:
            time.sleep(0.5)
            made.touch()
        there = made.exists()
    return {"there": there}


def agreement(strategy):
    """Whether workers with the same number, and with their own, agree."""
    index = cluster.here().index
    return {
        "same": distribute.agree(strategy, [3, 4]),
        "other": distribute.agree(strategy, [3, index]),
    }


def resumed(strategy, run, killed=None):
    """A training of three epochs with checkpoints, as a stage of a run.

    Args:
        strategy: of the model.
        run: its folder.
        killed: worker 1 kills itself in the second epoch, once: where this
            file is not there yet.
    """

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, at, logs=None):
            mine = killed is not None and cluster.here().index == 1
            if mine and (self.epoch, at) == (1, 1) and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    model = compiled(strategy)
    folder = run.stage("pretrain")
    start = resuming.begin(folder, Reporter(), strategy)
    data = batches().repeat(3)
    history = resuming.fit(
        model,
        lambda epoch, step: data.skip(epoch * STEPS + step).apply(
            tf.data.experimental.assert_cardinality((3 - epoch) * STEPS - step)
        ),
        start,
        folder=folder,
        monitor="val_mutual_information",
        epochs=3,
        steps=STEPS,
        callbacks=[
            Kill(),
            # as every stage has one: its files are part of a checkpoint
            callbacks.TensorBoard(str(folder / "tensorboard")),
        ],
        reporter=Reporter(),
        validation_data=batches(),
    )
    return {
        **_weights("resumed", model),
        "begun": start.position.epoch,
        "history": history["loss"].to_numpy(),
    }


def asked():
    return recipes.load("local_mine")


def shared_run(strategy, folder):
    """`resumed` by the chief in `folder/run`, by the others in a copy."""
    output, is_chief = folder / "run", cluster.here().is_chief
    if is_chief:
        run = Run.create(output, asked(), resume=True)
        distribute.wait_for_all(strategy)
    else:
        distribute.wait_for_all(strategy)
        run = WorkerRun.copy(output, asked())
    distribute.wait_for_all(strategy)
    with run:
        found = resumed(strategy, run, killed=folder / "killed")
        distribute.wait_for_all(strategy)
    return found


def all_of_it(strategy):
    return {**joint(strategy), **own_loop(strategy), **classifier(strategy)}


def main(folder):
    distribute.configure()
    strategy = distribute.strategy()
    found = {
        **shared_run(strategy, folder),
        **chief_first(strategy, folder),
        **agreement(strategy),
        **all_of_it(strategy),
        **as_shipped(strategy),
        "replicas": strategy.num_replicas_in_sync,
    }
    np.savez(folder / f"{cluster.here().index}.npz", **found)
    distribute.wait_for_all(strategy)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
