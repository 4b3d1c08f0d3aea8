"""A miniature of MIMIC-CXR for tests; all ids and all texts are invented."""

import csv
import gzip
import io
import zipfile
from dataclasses import dataclass

MIMIC_ORDER = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
]
METADATA = [
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
]
FINDINGS = "The kite is level. A small boat\n lies at the left edge."
IMPRESSION = "No change of the boat."


def report(number):
    return (
        f"{' ' * 33}FINAL REPORT\n"
        " EXAMINATION:  CHEST (PA AND LAT)\n \n"
        " INDICATION:  ___ year old with a kite  // boat?\n \n"
        f" FINDINGS: \n \n {FINDINGS}\n Number {number}.\n \n"
        f" IMPRESSION: \n \n {IMPRESSION}\n"
    )


@dataclass(frozen=True)
class Study:
    subject: int
    number: int
    split: str
    views: tuple = ("PA", "LATERAL")
    codes: tuple = ("postero-anterior", "lateral")
    date: str = "21500101"
    time: str = "93000.0"
    labels: dict | None = None
    text: str | None = ""  # "" is an ordinary report, None is none

    @property
    def images(self):
        return [dicom(self.number, n) for n in range(len(self.views))]

    @property
    def report(self):
        return report(self.number) if self.text == "" else self.text

    @property
    def folder(self):
        return f"p{str(self.subject)[:2]}/p{self.subject}/s{self.number}"


def dicom(study, place):
    digits = f"{study * 10 + place:040d}"
    return "-".join(digits[i : i + 8] for i in range(0, 40, 8))


# Subjects: 1 to 4 train, 5 validate, 6 to 8 test by the official split; 3 and
# 6 have a consensus grade, 2, 3 and 7 a regex grade.
TRAIN = 19900001
GRADED = 19900002
CONSENSUS_TRAIN = 19900003
PLAIN = 14900004
VALIDATE = 19900005
CONSENSUS_TEST = 19900006
GRADED_TEST = 19900007
PLAIN_TEST = 19900008
STUDIES = (
    Study(
        TRAIN,
        59900010,
        "train",
        views=("AP", "LATERAL", "PA"),
        codes=("antero-posterior", "lateral", "postero-anterior"),
        labels={"Edema": "1.0", "Pneumonia": "-1.0", "Fracture": "0.0"},
    ),
    Study(TRAIN, 59900011, "train", time="123.5", labels={"Edema": "0.0"}),
    Study(GRADED, 59900020, "train", views=("AP", "AP", "LL")),
    Study(CONSENSUS_TRAIN, 59900030, "train", labels={"Edema": "1.0"}),
    Study(CONSENSUS_TRAIN, 59900031, "train", labels={"Edema": "1.0"}),
    Study(PLAIN, 59900040, "train", views=("PA",), labels={}),
    Study(VALIDATE, 59900050, "validate", labels={"Lung Opacity": "1.0"}),
    Study(CONSENSUS_TEST, 59900060, "test", labels={"Lung Opacity": "0.0"}),
    Study(GRADED_TEST, 59900070, "test", labels={"Edema": "1.0"}),
    Study(PLAIN_TEST, 59900080, "test", labels={"Edema": "-1.0"}),
)
REGEX = {
    59900020: (GRADED, 2),
    59900030: (CONSENSUS_TRAIN, 1),
    59900031: (CONSENSUS_TRAIN, 1),
    59900060: (CONSENSUS_TEST, 3),
    59900070: (GRADED_TEST, 0),
    59999999: (19999999, 1),  # a study that is not here
}
CONSENSUS = {
    dicom(59900030, 0): (CONSENSUS_TRAIN, 59900030, 3),
    dicom(59900060, 0): (CONSENSUS_TEST, 59900060, 0),
}


def write_csv(file, header, rows, gz=True):
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerows([header, *rows])
    content = text.getvalue().encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    if gz:
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(content))
    else:
        file.write_bytes(content)


def write_images(root, studies=STUDIES, suffix=".jpg"):
    for study in studies:
        folder = root / "files" / study.folder
        folder.mkdir(parents=True)
        for image in study.images:
            (folder / f"{image}{suffix}").write_bytes(b"pixels")


def write_tables(root, studies=STUDIES, gz=True):
    write_csv(
        root / "mimic-cxr-2.0.0-metadata.csv",
        METADATA,
        [
            [
                *(image, s.subject, s.number, "CHEST", view, 2544, 3056),
                *(s.date, s.time, "CHEST", code, "Erect"),
            ]
            for s in studies
            for image, view, code in zip(
                s.images, s.views, (*s.codes, "", ""), strict=False
            )
        ],
        gz,
    )
    write_csv(
        root / "mimic-cxr-2.0.0-split.csv",
        ["dicom_id", "study_id", "subject_id", "split"],
        [
            [image, s.number, s.subject, s.split]
            for s in studies
            for image in s.images
        ],
        gz,
    )
    for labeller in ("chexpert", "negbio"):
        write_csv(
            root / f"mimic-cxr-2.0.0-{labeller}.csv",
            ["subject_id", "study_id", *MIMIC_ORDER],
            [
                [s.subject, s.number]
                + [s.labels.get(name, "") for name in MIMIC_ORDER]
                for s in studies
                if s.labels is not None
            ],
            gz,
        )


def write_severity(root, gz=False):
    write_csv(
        root / "regex_report_edema_severity.csv",
        ["subject_id", "study_id", "edema_severity"],
        [[subject, study, g] for study, (subject, g) in REGEX.items()],
        gz,
    )
    write_csv(
        root / "consensus_image_edema_severity.csv",
        ["subject_id", "study_id", "dicom_id", "edema_severity"],
        [[*ids, image, g] for image, (*ids, g) in CONSENSUS.items()],
        gz,
    )


def write_zip(file, studies=STUDIES, prefix="files/"):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for study in studies:
            if study.report is not None:
                archive.writestr(f"{prefix}{study.folder}.txt", study.report)


def write_all(root, studies=STUDIES):
    write_images(root / "jpg", studies)
    write_tables(root / "jpg", studies)
    write_zip(root / "mimic-cxr-reports.zip", studies)
    write_severity(root / "severity")
    return root
