"""The phantom's hidden variables H: the disease status of each region."""

from dataclasses import dataclass, field

import numpy as np

from kerasmi.data.schema import EDEMA_SEVERITY

SIDES = ("right", "left")
LEVELS = ("upper", "middle", "lower")
ZONES = tuple((side, level) for side in SIDES for level in LEVELS)
DEVICES = (
    "tracheal tube",
    "right line",
    "left line",
    "pacemaker",
    "feeding tube",
)
# The label each kind of status is told as; a nodule is a lung opacity only.
FINDING_OF = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "nodule": "Lung Opacity",
    "effusion": "Pleural Effusion",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
    **dict.fromkeys(DEVICES, "Support Devices"),
}
# CheXpert's hierarchy: these are lung opacities whatever else they are.
OPACITIES = ("Atelectasis", "Consolidation", "Pneumonia")
INTERSTITIAL = 2  # the edema severity from which the lungs look opaque

# Log-odds of each status in a subject of average acuity, and what one
# standard deviation of acuity adds.
_ZONE_LOGITS = {
    "consolidation": (-4.05, 0.5),
    "pneumonia": (-4.05, 0.5),
    "atelectasis": (-3.85, 0.5),
    "nodule": (-5.2, 0.0),
}
_LEVEL_LOGITS = {
    "consolidation": (-0.2, 0.0, 0.3),
    "pneumonia": (-0.2, 0.1, 0.3),
    "atelectasis": (-1.2, 0.2, 0.7),
    "nodule": (0.1, 0.1, 0.0),
}
_EFFUSION = (-1.8, 0.9)
_PNEUMOTHORAX = (-2.85, 0.5)
_CARDIOMEGALY = (-0.95, 0.7)
_EDEMA = (-1.1, 1.0)
_DEVICE_LOGITS = {
    "tracheal tube": (-2.7, 1.0),
    "right line": (-2.2, 0.8),
    "left line": (-2.7, 0.8),
    "pacemaker": (-2.6, 0.2),
    "feeding tube": (-2.7, 1.0),
}
_REPEAT_ACUITY = 0.6  # correlation of acuity between studies of a subject


@dataclass(frozen=True)
class Status:
    """One thing that is there: what, where and how much.

    Attributes:
        kind: A key of `FINDING_OF`.
        side: `"right"`, `"left"` (the subject's), or `""` for both/middle.
        level: `"upper"`, `"middle"`, `"lower"`, or `""`.
        grade: How much, from 1; 1 where there are no grades.
        seed: Of the random numbers that draw it, and it alone.
    """

    kind: str
    side: str = ""
    level: str = ""
    grade: int = 1
    seed: int = field(default=0, compare=False)

    @property
    def finding(self) -> str:
        """The label of `PATHOLOGY9` that it is told as."""
        return FINDING_OF[self.kind]

    @property
    def findings(self) -> tuple[str, ...]:
        """Its label, and `Lung Opacity` where it is one as well."""
        opaque = self.kind == "edema" and self.grade >= INTERSTITIAL
        if opaque or self.finding in OPACITIES:
            return (self.finding, "Lung Opacity")
        return (self.finding,)


def truth(statuses: tuple[Status, ...], labels: tuple[str, ...]) -> dict:
    """Returns label to 0 or 1, and the edema severity 0..3.

    Args:
        statuses: All that is there.
        labels: The findings asked for.
    """
    present = {name for status in statuses for name in status.findings}
    severity = [s.grade for s in statuses if s.kind == "edema"]
    answer = {label: int(label in present) for label in labels}
    return answer | {EDEMA_SEVERITY: severity[0] if severity else 0}


def draw_acuity(generator: np.random.Generator, before: float | None) -> float:
    """Returns a standard normal acuity, correlated with the study before."""
    fresh = float(generator.standard_normal())
    if before is None:
        return fresh
    return _REPEAT_ACUITY * before + (1 - _REPEAT_ACUITY**2) ** 0.5 * fresh


def draw_statuses(
    generator: np.random.Generator, acuity: float
) -> tuple[Status, ...]:
    """Draws the hidden variables of one study.

    Given the acuity all statuses are independent, so that findings come
    together as in a hospital and every combination occurs.

    Args:
        generator: The study's random numbers.
        acuity: How ill the subject is, standard normal.

    Returns:
        What is present, in a fixed order.
    """
    draw = _Draw(generator, acuity)
    found = [*_zones(draw), *_pleura(draw), *_grades(draw)]
    for device, odds in _DEVICE_LOGITS.items():
        if draw.happens(odds):
            side = device.split()[0] if device.endswith("line") else ""
            found.append(draw.status(device, side=side))
    return tuple(found)


@dataclass(frozen=True)
class _Draw:
    generator: np.random.Generator
    acuity: float

    def happens(self, odds: tuple[float, float], extra: float = 0.0) -> bool:
        """Draws a yes with the log-odds `odds[0] + odds[1] * acuity`."""
        logit = odds[0] + odds[1] * self.acuity + extra
        return bool(self.generator.random() < 1 / (1 + np.exp(-logit)))

    def grade(self, *weights: float) -> int:
        """Draws a grade 1, 2, ... with weights tilted by the acuity."""
        tilt = np.exp(0.35 * self.acuity * np.arange(len(weights)))
        steps = np.cumsum(np.asarray(weights) * tilt)
        return 1 + int(
            np.searchsorted(steps, self.generator.random() * steps[-1])
        )

    def status(self, kind: str, **where: str | int) -> Status:
        """Gives a status its own seed."""
        seed = int(self.generator.integers(2**32))
        return Status(kind, seed=seed, **where)  # type: ignore[arg-type]


def _zones(draw: _Draw) -> list[Status]:
    found = []
    for side, level in ZONES:
        for kind, odds in _ZONE_LOGITS.items():
            extra = _LEVEL_LOGITS[kind][LEVELS.index(level)]
            if draw.happens(odds, extra):
                found.append(draw.status(kind, side=side, level=level))
                break  # a zone has one status
    return found


def _pleura(draw: _Draw) -> list[Status]:
    found: list[Status] = []
    effusion, pneumothorax = _EFFUSION, _PNEUMOTHORAX
    for side in SIDES:
        if draw.happens(effusion, extra=1.0 if found else 0.0):
            grade = draw.grade(5, 3, 1.5)
            found.append(draw.status("effusion", side=side, grade=grade))
    for side in SIDES:
        if draw.happens(pneumothorax):
            grade = draw.grade(3, 2)
            found.append(draw.status("pneumothorax", side=side, grade=grade))
    return found


def _grades(draw: _Draw) -> list[Status]:
    found = []
    if draw.happens(_CARDIOMEGALY):
        found.append(draw.status("cardiomegaly", grade=draw.grade(3, 2)))
    if draw.happens(_EDEMA):
        found.append(draw.status("edema", grade=draw.grade(4, 4, 2.5)))
    return found
