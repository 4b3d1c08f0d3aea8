"""Miniatures of CheXpert and CheXpert Plus for tests; all is invented."""

import csv
import json

# The order of the published header: not MIMIC-CXR's.
LABELS = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
]
HEADER = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABELS]
PLUS = [
    "path_to_image",
    "path_to_dcm",
    "frontal_lateral",
    "ap_pa",
    "deid_patient_id",
    "patient_report_date_order",
    "report",
    "section_narrative",
    "section_clinical_history",
    "section_history",
    "section_comparison",
    "section_technique",
    "section_procedure_comments",
    "section_findings",
    "section_impression",
    "section_end_of_impression",
    "section_summary",
    "section_accession_number",
    "age",
    "sex",
    "race",
    "ethnicity",
    "interpreter_needed",
    "insurance_type",
    "recent_bmi",
    "deceased",
    "split",
]
# Subject, study, view, side, projection, labels.
TRAIN = [
    (90001, 1, 1, "frontal", "AP", {"Edema": "1.0", "Pneumonia": "-1.0"}),
    (90001, 1, 2, "lateral", "", {"Edema": "1.0", "Pneumonia": "-1.0"}),
    (90001, 2, 1, "frontal", "PA", {"No Finding": "1.0"}),
    (90002, 1, 1, "frontal", "LL", {"Fracture": "0.0"}),
]
VALID = [(99541, 1, 1, "frontal", "", {"Atelectasis": "0.0"})]


def name(row, suffix=".jpg"):
    return f"patient{row[0]:05}/study{row[1]}/view{row[2]}_{row[3]}{suffix}"


def image_id(row):
    return name(row, "").replace("/", "_")


def labels(row):
    return [row[5].get(label, "") for label in LABELS]


def write(file, header, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def pixels(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"pixels")


def write_chexpert(root, release="CheXpert-v1.0-small"):
    for split, rows in (("train", TRAIN), ("valid", VALID)):
        write(
            root / release / f"{split}.csv",
            HEADER,
            [
                [
                    *(f"{release}/{split}/{name(r)}", "Unknown", 50),
                    *(r[3].title(), r[4], *labels(r)),
                ]
                for r in rows
            ],
        )
        for row in rows:
            pixels(root / release / split / name(row))
    return root / release


# CheXpert Plus

TEXTS = {
    (90001, 1): ("THE KITE IS LEVEL.  1.BOAT AT THE LEFT. ", "NO CHANGE."),
    (90001, 2): ("", "1. Kite.\n2. Boat."),
    (90002, 1): ("", ""),
}


def plus_row(row, split, text=None):
    findings, impression = text or TEXTS.get(row[:2], ("Kite.", ""))
    cells = {
        "path_to_image": f"{split}/{name(row)}",
        "path_to_dcm": f"{split}/{name(row, '.dcm')}",
        "frontal_lateral": row[3].title(),
        "ap_pa": row[4],
        "deid_patient_id": f"patient{row[0]:05}",
        "report": f"NARRATIVE:\n, with a comma\n{findings}",
        "section_findings": findings,
        "section_impression": impression,
        "split": split,
    }
    return [cells.get(column, "") for column in PLUS]


def label_line(row, split, **more):
    values = {k: float(v) for k, v in row[5].items()}
    entry = {"path_to_image": f"{split}/{name(row)}"}
    entry |= {label: values.get(label) for label in reversed(LABELS)}
    return json.dumps(entry | more) + "\n"


def write_plus(root, suffix=".png", below="PNG"):
    rows = [(row, "train") for row in TRAIN] + [(r, "valid") for r in VALID]
    write(
        root / "df_chexpert_plus_240401.csv",
        PLUS,
        [plus_row(row, split) for row, split in rows],
    )
    for row, split in rows:
        pixels(root / below / split / name(row, suffix))
    (root / "chexbert_labels").mkdir()
    for kind in ("report", "findings", "impression"):
        more = {} if kind == "report" else {"Edema": 0}
        lines = [label_line(row, split, **more) for row, split in rows]
        file = root / "chexbert_labels" / f"{kind}_fixed.json"
        file.write_text("".join(lines))
    return root
