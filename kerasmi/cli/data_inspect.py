"""`kerasmi data inspect` and `splits`: what a data set holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasmi.cli.base import Verb
from kerasmi.cli.quiet import quiet
from kerasmi.errors import DataError

if TYPE_CHECKING:
    from kerasmi.data.dataset import Dataset

_POLICY = (
    "1 and 0 count; uncertain (-1) and blank (-2) are kept as they are.\n"
    "A recipe says what they count as: data.uncertain and data.blank, both\n"
    "'ignore' unless it says otherwise, as in the paper."
)


@click.command(
    cls=Verb,
    examples="""
        kerasmi data inspect runs/data/FOLDER
        kerasmi data inspect FOLDER --full
    """,
)
@click.argument("folder")
@click.option("--full", is_flag=True, help="Also read and check every byte.")
def inspect(folder: str, full: bool) -> None:
    """Print what a folder of records holds, and check that it is whole."""
    from kerasmi.data import audit, dataset, labels, schema

    opened = open_dataset(folder, full)
    size = sum(shard.bytes for shard in opened.index)
    click.echo(f"name         {opened.name}")
    click.echo(f"source       {opened.source}")
    click.echo(f"image size   {opened.image_size} pixels")
    click.echo(f"shards       {len(opened.index)}, {size / 2**20:,.1f} MiB")
    click.echo(f"fingerprint  {opened.fingerprint}")
    click.echo(f"images.csv   {opened.images_sha256}")
    click.echo(f"made by      kerasmi {opened.made_by.get('kerasmi')}")
    click.echo(f"labels       {', '.join(opened.label_names) or 'none'}")
    print_counts(opened)
    images = audit.read_images(opened.path / dataset.IMAGES)
    _print("Sentences of a report", _lengths(images))
    _print("Views", audit.views(images))
    if opened.label_names:
        papers = set(opened.label_names).issuperset(schema.PATHOLOGY9)
        title = "Labels (Table 1)" if papers else "Labels"
        _print(title, labels.table1(images))
        click.echo(f"\n{_POLICY}")


@click.command(
    cls=Verb,
    examples="""
        kerasmi data splits FOLDER --output splits.csv
        kerasmi data import table own.csv OUT --split-file splits.csv
    """,
)
@click.argument("folder")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The CSV to write.",
)
@click.option(
    "--plain",
    is_flag=True,
    help="Write the ids themselves. Else their hashes, which whoever knows"
    " all possible ids can still tell apart.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def splits(folder: str, output: Path, plain: bool, force: bool) -> None:
    """Write the set of every subject, for another import to use.

    Prints the SHA-256 of the file, which `dataset.json` of a data set made
    with it names.
    """
    from kerasmi.data import split_rules

    if output.exists() and not force:
        raise DataError(f"{output}: exists; --force overwrites it")
    opened = open_dataset(folder)
    click.echo(split_rules.export(opened, output, hashed=not plain))


def open_dataset(folder: str, full: bool = False) -> "Dataset":
    """Opens a data set; TensorFlow, which looks for damage, stays quiet.

    Args:
        folder: A folder of records.
        full: Compare the hash of every shard too.

    Raises:
        DataError: Names the first file that differs, and the record.
    """
    with quiet():
        from kerasmi.data import dataset

        return dataset.Dataset.open(folder, verify="hash" if full else "size")


def print_counts(opened: "Dataset") -> None:
    """Prints images, studies and subjects of every split."""
    columns = ("images", "studies", "subjects")
    rows: list[tuple[str, ...]] = [("split", *columns)]
    for split, counts in opened.counts.items():
        rows.append((split, *(str(counts[name]) for name in columns)))
    for first, *others in rows:
        click.echo(f"{first:<12}" + "".join(f"{cell:>10}" for cell in others))


def _lengths(images: Any) -> Any:
    """Returns how many sentences the reports have, of images that have one."""
    shares = {"fewest": 0.0, "median": 0.5, "95%": 0.95, "most": 1.0}
    rows = []
    for split, of_split in images.groupby("split", observed=True, sort=False):
        numbers = of_split["sentences"]
        written = numbers[numbers > 0]
        row = {"split": split, "without text": len(numbers) - len(written)}
        for name, share in shares.items():
            found = int(written.quantile(share)) if len(written) else "-"
            row[name] = found
        rows.append(row)
    return type(images)(rows)


def _print(title: str, frame: Any) -> None:
    click.echo(f"\n{title}\n\n{frame.to_string(index=False)}")
