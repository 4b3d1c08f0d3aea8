"""Names of files that Keras would write, and not read again."""

import os


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuses HDF5, which holds no model of models.

    Raises:
        ValueError: a name that Keras takes for HDF5.
    """
    name = str(path)
    if name.endswith((".h5", ".hdf5")):
        raise ValueError(
            f"`filepath`: HDF5 holds no model that is made of models. "
            f"Received: {name}. Give a name that ends in .keras; for weights "
            "alone, `save_weights` with one that ends in .weights.h5."
        )
