"""Every call to tf.distribute, and the check of a batch over all replicas."""

import collections
import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, cast

import tensorflow as tf

from kerasmi import cluster
from kerasmi.errors import RunError
from kerasmi.reporter import counted
from kerasmi.types import Tensor

_asked: list[str] = []
UNEVEN = (
    "The replicas have different numbers of images, as in a last batch that "
    "they cannot share evenly. Use batches of a multiple of the devices, and "
    "drop the remainder."
)
IDLE = (
    "A device got no image of this batch: there are fewer images than devices "
    "share, as in a last batch. Use batches of a multiple of the devices, and "
    "drop the remainder."
)
NO_NEGATIVES = (
    "This batch has no negative pair: all its images with a text are of one "
    "study, or none has a text. Use a larger batch, shuffle the data, or leave "
    "out images without text."
)


def configure(devices: int = 1, join: bool = True) -> None:
    """Makes `devices` devices visible; call it before any TensorFlow op.

    With GPUs, `devices` of them must exist. Without, the CPU is split into
    that many logical devices, so that several replicas can be tried on a
    laptop. Where TF_CONFIG names several workers, this joins them, and waits
    until all have come.

    Args:
        devices: replicas of this process, at least 1.
        join: whether to join the workers; what trains nothing need not.

    Raises:
        RunError: fewer GPUs than asked for, TensorFlow has already started
            with fewer GPUs or another number of logical CPUs, or TF_CONFIG is
            wrong.
    """
    many = cluster.here().is_many
    if devices < 1:
        raise RunError(f"--devices: expected at least 1. Received: {devices}")
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if devices > len(gpus):
            raise RunError(
                f"--devices: {devices} asked for, but this machine has "
                f"{len(gpus)} GPU(s). Use --devices {len(gpus)} or fewer."
            )
        _show(gpus[:devices])
        if many and join:
            _workers()
        return
    if many:
        if devices > 1:
            raise RunError(
                f"--devices: {devices} asked for, but a worker without GPUs "
                "has one device. Leave it out and start more workers."
            )
        if join:
            _workers()
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


def _show(gpus: list[tf.config.PhysicalDevice]) -> None:
    """Hides all other GPUs, whose memory TensorFlow would reserve as well."""
    try:
        tf.config.set_visible_devices(gpus, "GPU")
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("GPU")) < len(gpus):
            raise RunError(
                "--devices: TensorFlow has already started with fewer GPUs; "
                "configure devices first, in a new process."
            ) from error


@functools.cache
def _workers() -> tf.distribute.Strategy:
    # TensorFlow must be told of the cluster before its first op, and once.
    return tf.distribute.MultiWorkerMirroredStrategy()


def set_intra_op_threads(threads: int | None) -> None:
    """Says how many threads one operation may share; before any TensorFlow op.

    For the rest of the process. Sums of an operation shared by several threads
    are rounded otherwise, so that the result depends on their number.

    Args:
        threads: at least 1; None leaves it as it is.

    Raises:
        RunError: TensorFlow has already started with another number.
    """
    threading = tf.config.threading
    now = threading.get_intra_op_parallelism_threads()
    if threads in (None, now):
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise RunError(
            f"intra_op_threads: {threads} asked for, but TensorFlow has already"
            f" started with {now or 'all cores'}; call"
            f" kerasmi.distribute.set_intra_op_threads({threads}) first, in a"
            " new process, or give intra_op_threads=null"
        ) from error


def make_deterministic() -> None:
    """Asks TensorFlow for operations that give the same bits each time.

    For the rest of the process; call it before any TensorFlow op.
    """
    tf.config.experimental.enable_op_determinism()
    # from now on an operation that draws without any seed is refused
    tf.random.set_seed(0)
    _asked.append("deterministic")


def facts() -> dict[str, Any]:
    """What of TensorFlow's state decides roundings, for `environment.json`.

    Threads are those of one operation and of operations side by side; 0 where
    TensorFlow chooses.
    """
    threading = tf.config.threading
    return {
        "threads": {
            "intra_op": threading.get_intra_op_parallelism_threads(),
            "inter_op": threading.get_inter_op_parallelism_threads(),
        },
        "deterministic": bool(_asked),
        "workers": cluster.here().number,
        "accelerators": _accelerators(),
    }


def _accelerators() -> list[str]:
    """The names of the GPUs that this process may use."""
    details = tf.config.experimental.get_device_details
    gpus = tf.config.get_visible_devices("GPU")
    return [details(gpu).get("device_name", gpu.name) for gpu in gpus]


def told(replicas: int) -> str:
    """What a run trains on, in words for its first lines.

    Args:
        replicas: of all workers together.

    Returns:
        `"1 of 8 GPUs: NVIDIA H200"`, or `"1 CPU; TensorFlow sees no GPU"`.
    """
    workers = cluster.here().number
    each = replicas // workers
    where = f", on each of {workers} workers" if workers > 1 else ""
    names = _accelerators()[:each]
    if not names:
        cpu = "1 CPU" if each == 1 else f"1 CPU in {each} parts"
        return f"{cpu}{where}; TensorFlow sees no GPU"
    number = len(tf.config.list_physical_devices("GPU"))
    used = counted(each, "GPU")
    if each < number:
        used = f"{each} of {number} GPUs"
    kinds = collections.Counter(names)
    named = ", ".join(
        name if len(kinds) == 1 else f"{count} {name}"
        for name, count in kinds.items()
    )
    return f"{used}{where}: {named}"


def strategy(devices: int = 1) -> tf.distribute.Strategy:
    """The replicas that train together, as a `tf.distribute` strategy.

    Args:
        devices: replicas of this process; more than one, and several workers,
            need `configure` first.

    Returns:
        The default strategy for one device, else a `MirroredStrategy`; where
        TF_CONFIG names several workers, the `MultiWorkerMirroredStrategy` of
        all of them. Build the model, its optimizer and its loss inside
        `strategy(...).scope()`.
    """
    if cluster.here().is_many:
        return _workers()
    if devices == 1:
        return tf.distribute.get_strategy()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    names = [f"{kind}:{index}" for index in range(devices)]
    if kind == "CPU":
        # one process may then hold several strategies (CPU collectives clash)
        reduction = tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(names, reduction)
    return tf.distribute.MirroredStrategy(names)


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has called it; at once for one worker."""
    if cluster.here().is_many:
        tf.function(strategy.run)(lambda: reduce_sum([tf.ones(())]))


def agree(strategy: tf.distribute.Strategy, numbers: list[int]) -> bool:
    """Whether every worker has these numbers; all have to ask.

    Args:
        strategy: of the workers; True where there is one.
        numbers: of this worker, as many on every one.
    """
    if not cluster.here().is_many:
        return True
    own = tf.constant([numbers], tf.int32)
    found = tf.function(strategy.run)(lambda: gather(own))
    everyone = strategy.experimental_local_results(found)[0].numpy()
    return bool((everyone == numbers).all())


@contextlib.contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """The block is done by the chief, and then by the other workers.

    For what the chief makes and the others read, such as a drawn data set.
    """
    is_chief = cluster.here().is_chief
    if not is_chief:
        wait_for_all(strategy)
    yield
    if is_chief:
        wait_for_all(strategy)


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

    Raises:
        tf.errors.InvalidArgumentError: `x` differs in size between replicas.
    """
    replicas = num_replicas()
    if replicas == 1 or not in_replica():
        return x
    # An input of the step has no device yet, and is refused for want of one.
    x = tf.identity(x)
    gathered = tf.distribute.get_replica_context().all_gather(x, axis=axis)
    found, wanted = tf.shape(gathered)[axis], replicas * tf.shape(x)[axis]
    check = tf.debugging.assert_equal(found, wanted, message=UNEVEN)
    with tf.control_dependencies([] if check is None else [check]):
        gathered = tf.identity(gathered)
    shape = x.shape.as_list()
    if shape[axis] is not None:
        shape[axis] *= replicas
    return tf.ensure_shape(gathered, shape)


def even(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same inputs, refused where replicas have different numbers of them.

    Args:
        inputs: of one replica, `images` with a row for each among them.

    Raises:
        tf.errors.InvalidArgumentError: their rows differ between replicas.
    """
    if num_replicas() == 1 or not in_replica():
        return inputs
    sizes = gather(tf.shape(inputs["images"])[:1])
    check = tf.debugging.assert_equal(sizes, sizes[:1], message=UNEVEN)
    with tf.control_dependencies([] if check is None else [check]):
        return {name: tf.identity(each) for name, each in inputs.items()}


def after(data: Any) -> contextlib.AbstractContextManager[None]:
    """What is done inside waits for the data of a step, in a graph too.

    Keras asks a data set that does not know its length for one batch more than
    it has: the step fails, but what needs no data of it would be done, such as
    a decay of weights.
    """
    flat = tf.nest.flatten(data, expand_composites=True)
    known = [tensor for tensor in flat if tensor is not None]
    return cast(
        contextlib.AbstractContextManager[None],
        tf.control_dependencies(known),
    )


def not_idle(images: Tensor) -> Tensor:
    """The same images, refused where this replica has none of a batch.

    Args:
        images: of one replica, a row for each.

    Raises:
        tf.errors.InvalidArgumentError: there is no row.
    """
    if num_replicas() == 1 or not in_replica():
        return images
    check = tf.debugging.assert_positive(tf.shape(images)[0], message=IDLE)
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(images)


def own(gathered: Tensor) -> Tensor:
    """This replica's part of what `gather` concatenated along axis 0."""
    replicas = num_replicas()
    if replicas == 1 or not in_replica():
        return gathered
    context = tf.distribute.get_replica_context()
    size = tf.shape(gathered)[0] // replicas
    start = context.replica_id_in_sync_group * size
    part = gathered[start : start + size]
    shape = gathered.shape.as_list()
    if shape[0] is not None:
        shape[0] //= replicas
    return tf.ensure_shape(part, shape)


def reduce_sum(values: list[Tensor]) -> list[Tensor]:
    """Sums each tensor over replicas (for a gradient norm, say).

    Args:
        values: tensors of any shape, alike on every replica.

    Returns:
        The sums, in the same order and shapes, differentiable as the sums of
        tf.distribute are; `values` where there is one replica.
    """
    if num_replicas() == 1 or not in_replica():
        return values
    context = tf.distribute.get_replica_context()

    @tf.custom_gradient
    def summed(*parts: Tensor) -> tuple[Any, Callable[..., Any]]:
        # tf.distribute looks for variables in all that a sum is made of, on
        # every replica and for every sum: most of the time of a trace. It
        # does not look past what has no gradient.
        stopped = [tf.stop_gradient(part) for part in parts]
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, stopped)
        return sums, lambda *slopes: reduce_sum(list(slopes))

    return list(summed(*values))


def block_diagonal(x: Tensor, fill: float = 0) -> Tensor:
    """Puts `x` of each replica on the diagonal of one large matrix.

    Args:
        x: `(b, ..., c)`, of equal size on every replica; float32 or integer.
        fill: of the pairs of two replicas.

    Returns:
        `(R * b, ..., R * c)` for `R` replicas, in their order and alike on all
        of them; differentiable as `gather` is. `x` where there is one replica.
    """
    replicas = num_replicas()
    if replicas == 1 or not in_replica():
        return x
    context = tf.distribute.get_replica_context()
    place = context.replica_id_in_sync_group
    width = tf.shape(x)[-1]
    before, after = place * width, (replicas - 1 - place) * width
    whole = [[0, 0]] * (len(x.shape) - 1)
    padding = tf.stack([*map(tf.constant, whole), tf.stack([before, after])])
    wide = tf.pad(x, padding, constant_values=tf.cast(fill, x.dtype))
    columns = x.shape[-1]
    if columns is not None:
        wide = tf.ensure_shape(wide, [*x.shape[:-1], replicas * columns])
    return gather(wide)


def rank_one(logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The logs of a step as Keras needs them under a strategy: `(1,)` each.

    With several workers, `keras.Model.fit` takes their mean along axis 0,
    which a scalar lacks.
    """
    if num_replicas() == 1:
        return logs
    return {name: tf.reshape(value, (1,)) for name, value in logs.items()}


def check_negatives(is_there: Tensor) -> list[tf.Operation]:
    """Stops the step, in a graph too, when a batch has no negative pair.

    Args:
        is_there: scalar bool, whether it has one, as `BoundLoss.is_defined`
            tells.

    Returns:
        Operations for `tf.control_dependencies`; none when run eagerly.

    Raises:
        tf.errors.InvalidArgumentError: it has none.
    """
    check = tf.debugging.assert_equal(is_there, True, message=NO_NEGATIVES)
    return [] if check is None else [check]
