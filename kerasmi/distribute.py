"""Every call to tf.distribute, and the check of a batch over all replicas."""

import tensorflow as tf

from kerasmi.errors import RunError
from kerasmi.types import Tensor


def configure(devices: int = 1) -> None:
    """Makes `devices` devices visible; call it before any TensorFlow op.

    With GPUs, `devices` of them must exist. Without, the CPU is split into
    that many logical devices, so that several replicas can be tried on a
    laptop.

    Args:
        devices: number of replicas, at least 1.

    Raises:
        RunError: fewer GPUs than asked for, or TensorFlow has already started
            with another number of logical CPUs.
    """
    if devices < 1:
        raise RunError(f"--devices: expected at least 1. Received: {devices}")
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if devices > len(gpus):
            raise RunError(
                f"--devices: {devices} asked for, but this machine has "
                f"{len(gpus)} GPU(s). Use --devices {len(gpus)} or fewer."
            )
        return
    if devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        wanted = [tf.config.LogicalDeviceConfiguration()] * devices
        try:
            tf.config.set_logical_device_configuration(cpu, wanted)
        except RuntimeError as error:
            if len(tf.config.list_logical_devices("CPU")) < devices:
                raise RunError(
                    "--devices: TensorFlow has already started with fewer "
                    "logical CPUs; configure devices first, in a new process."
                ) from error


def strategy(devices: int = 1) -> tf.distribute.Strategy:
    """`devices` replicas on this machine, as a `tf.distribute` strategy.

    Args:
        devices: number of replicas; more than one need `configure` first.

    Returns:
        The default strategy for one device, else a `MirroredStrategy`. Build
        the model, its optimizer and its loss inside `strategy(...).scope()`.
    """
    if devices == 1:
        return tf.distribute.get_strategy()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    names = [f"{kind}:{index}" for index in range(devices)]
    if kind == "CPU":
        # one process may then hold several strategies (CPU collectives clash)
        reduction = tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(names, reduction)
    return tf.distribute.MirroredStrategy(names)


def num_replicas() -> int:
    """Replicas in step here: 1 outside a strategy."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def in_replica() -> bool:
    """Whether this code runs once per replica, where a gather is possible."""
    return tf.distribute.in_cross_replica_context() is False


def gather(x: Tensor, axis: int = 0) -> Tensor:
    """Concatenates `x` of all replicas along `axis`, in replica order.

    Differentiable: the gradient of each part is the sum of what all replicas
    send back. The same `x` where there is one replica, and outside of the
    replicas, where there is nothing to gather.

    Args:
        x: any shape, of equal size on every replica; float32 or integer
            (tf.distribute's gather refuses bfloat16).
        axis: the axis to concatenate.

    Returns:
        The parts of all replicas, with the static shape that tf.distribute
        loses put back.
    """
    replicas = num_replicas()
    if replicas == 1 or not in_replica():
        return x
    gathered = tf.distribute.get_replica_context().all_gather(x, axis=axis)
    shape = x.shape.as_list()
    if shape[axis] is not None:
        shape[axis] *= replicas
    return tf.ensure_shape(gathered, shape)


def reduce_sum(values: list[Tensor]) -> list[Tensor]:
    """Sums each tensor over replicas (for a gradient norm, say).

    Args:
        values: tensors of any shape, alike on every replica.

    Returns:
        The sums, in the same order and shapes; `values` where there is one
        replica.
    """
    if num_replicas() == 1 or not in_replica():
        return values
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def check_negatives(pairs: Tensor) -> list[tf.Operation]:
    """Stops the step, in a graph too, when a batch has no negative pair.

    Args:
        pairs: `(B, C)` int: 1 positive, 0 negative, -1 ignored.

    Returns:
        Operations for `tf.control_dependencies`; none when run eagerly.

    Raises:
        tf.errors.InvalidArgumentError: when no entry is 0.
    """
    check = tf.debugging.assert_equal(
        tf.reduce_any(tf.equal(pairs, 0)),
        True,
        message=(
            "This batch has no negative pair: all its images are of one "
            "study. Use a larger batch or shuffle the data."
        ),
    )
    return [] if check is None else [check]
