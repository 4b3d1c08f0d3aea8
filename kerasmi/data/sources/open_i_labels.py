"""From the indexers' MeSH terms of Open-i to CheXpert's label names."""

from collections.abc import Iterable

from kerasmi.data.schema import BLANK, CHEXPERT14, NO_FINDING

NORMAL = "normal"
# A term's heading, a qualifier it must have ("" = any), and what it means.
# Terms that could mean several findings (cardiac shadow enlarged, pulmonary
# congestion, density, emphysema, surgical instruments) are left out.
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
# With these a term says neither yes nor no.
_DOUBTFUL = {"borderline"}
NOTE = (
    "labels come from the MeSH terms of the indexers: 1 where a term names "
    "the finding, 0 where the report is indexed as normal and nothing else, "
    "else blank"
)


def labels(terms: Iterable[str]) -> dict[str, int]:
    """Returns CheXpert's labels of a report.

    Args:
        terms: MeSH terms with qualifiers, `"Opacity/lung/base/left"`.

    Returns:
        Each of `CHEXPERT14` to 1, 0 or `BLANK`: 1 where a term of `MEANINGS`
        names it, 0 if the only term is `normal` (then `No Finding` is 1).
    """
    parts = [[p.strip().lower() for p in term.split("/")] for term in terms]
    parts = [part for part in parts if part[0]]
    if parts and all(part == [NORMAL] for part in parts):
        return {name: int(name == NO_FINDING) for name in CHEXPERT14}
    found = dict.fromkeys(CHEXPERT14, BLANK)
    for heading, *qualifiers in parts:
        if _DOUBTFUL.isdisjoint(qualifiers):
            for name in _meaning(heading, qualifiers):
                found[name] = 1
    return found


def _meaning(heading: str, qualifiers: list[str]) -> tuple[str, ...]:
    for term, needed, names in MEANINGS:
        if heading == term and (not needed or needed in qualifiers):
            return names
    return ()
