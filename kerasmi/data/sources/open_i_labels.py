"""From the indexers' MeSH terms of Open-i to CheXpert's label names."""

from collections.abc import Iterable, Sequence

from kerasmi.data.schema import BLANK, CHEXPERT14, NO_FINDING, UNCERTAIN

Meaning = tuple[str, str, tuple[str, ...]]

NORMAL = "normal"
_NOT_INDEXED = "no indexing"
# A term's heading, a qualifier it must have ("" = any), and what it means.
MEANINGS = (
    ("airspace disease", "", ("Lung Opacity",)),
    ("cardiomegaly", "", ("Cardiomegaly",)),
    ("catheters, indwelling", "", ("Support Devices",)),
    ("consolidation", "", ("Consolidation",)),
    ("fractures, bone", "", ("Fracture",)),
    ("hemopneumothorax", "", ("Pneumothorax", "Pleural Effusion")),
    ("hydropneumothorax", "", ("Pneumothorax", "Pleural Effusion")),
    ("implanted medical device", "", ("Support Devices",)),
    ("infiltrate", "", ("Lung Opacity",)),
    ("mass", "lung", ("Lung Lesion",)),
    ("mediastinum", "enlarged", ("Enlarged Cardiomediastinum",)),
    ("medical device", "", ("Support Devices",)),
    ("nodule", "lung", ("Lung Lesion",)),
    ("opacity", "lung", ("Lung Opacity",)),
    ("pleural effusion", "", ("Pleural Effusion",)),
    ("pneumonia", "", ("Pneumonia",)),
    ("pneumothorax", "", ("Pneumothorax",)),
    ("pulmonary atelectasis", "", ("Atelectasis",)),
    ("pulmonary edema", "", ("Edema",)),
    ("thickening", "pleura", ("Pleural Other",)),
    ("tube, inserted", "", ("Support Devices",)),
)
# Likewise, of terms that may mean it, or something else: neither yes nor no.
UNSURE = (
    ("cardiac shadow", "borderline", ("Cardiomegaly",)),
    ("cardiac shadow", "enlarged", ("Cardiomegaly",)),
    ("costophrenic angle", "blunted", ("Pleural Effusion",)),
    ("density", "lung", ("Lung Opacity", "Lung Lesion")),
    ("pulmonary congestion", "", ("Edema",)),
    ("surgical instruments", "", ("Support Devices",)),
)
# With these a term of either says neither yes nor no.
_DOUBTFUL = {"borderline"}
NOTE = (
    "labels come from the MeSH terms of the indexers: 1 where a term names "
    "the finding, -1 (uncertain) where it is borderline, may be what a term "
    "names (blunted costophrenic angle), or the report was not indexed, 0 "
    "where the report is indexed as normal and nothing else, else blank"
)


def labels(terms: Iterable[str]) -> dict[str, int]:
    """Returns CheXpert's labels of a report.

    Args:
        terms: MeSH terms with qualifiers, `"Opacity/lung/base/left"`.

    Returns:
        Each of `CHEXPERT14` to 1, 0, `UNCERTAIN` or `BLANK`: 1 where a term of
        `MEANINGS` names it, else uncertain where one of `UNSURE` does, or a
        borderline one; all are uncertain in a report that was not indexed. 0
        if the only term is `normal` (then `No Finding` is 1). What is blank
        was not seen by an indexer, so that a policy may take it for absent.
    """
    parts = [[p.strip().lower() for p in term.split("/")] for term in terms]
    parts = [part for part in parts if part[0]]
    if parts and all(part == [NORMAL] for part in parts):
        return {name: int(name == NO_FINDING) for name in CHEXPERT14}
    if not parts or all(part == [_NOT_INDEXED] for part in parts):
        return dict.fromkeys(CHEXPERT14, UNCERTAIN)
    found = dict.fromkeys(CHEXPERT14, BLANK)
    for heading, *qualifiers in parts:
        doubtful = not _DOUBTFUL.isdisjoint(qualifiers)
        for name in _meaning(MEANINGS, heading, qualifiers):
            value = UNCERTAIN if doubtful else 1
            found[name] = max(found[name], value)
        for name in _meaning(UNSURE, heading, qualifiers):
            found[name] = max(found[name], UNCERTAIN)
    return found


def _meaning(
    meanings: Sequence[Meaning], heading: str, qualifiers: list[str]
) -> tuple[str, ...]:
    for term, needed, names in meanings:
        if heading == term and (not needed or needed in qualifiers):
            return names
    return ()
