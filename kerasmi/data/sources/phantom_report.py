"""The phantom's reports: what a radiologist writes, and its labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from kerasmi.data.schema import (
    BLANK,
    EDEMA_SEVERITY,
    PATHOLOGY9,
    UNCERTAIN,
)
from kerasmi.data.sources import phantom_words as words
from kerasmi.data.sources.phantom_status import LEVELS, SIDES, Status, truth

T = TypeVar("T")
OMITTED = 0.05  # of what is there is not told
HEDGED = 0.12  # of what is told is told as uncertain
SUSPECTED = 0.02  # of what is not there is told as uncertain
STYLES = ("full", "brief", "lower")


@dataclass(frozen=True)
class Sentence:
    """One sentence and what it says.

    Attributes:
        text: The words.
        finding: What it tells of as present or possible; `""` if nothing.
        statuses: The statuses it tells of; empty if they are not there.
        mentions: Label to 1, 0 or -1, as a labeller would read it.
    """

    text: str
    finding: str = ""
    statuses: tuple[Status, ...] = ()
    mentions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A report's two sections."""

    findings: tuple[Sentence, ...]
    impression: tuple[Sentence, ...]

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """All sentences, findings first."""
        return self.findings + self.impression

    @property
    def labels(self) -> dict[str, int]:
        """What a labeller reads: 1 over -1 over 0 over blank."""
        answer = dict.fromkeys((*PATHOLOGY9, EDEMA_SEVERITY), BLANK)
        for sentence in self.sentences:
            for label, value in sentence.mentions.items():
                answer[label] = _stronger(answer[label], value)
        return answer


def _stronger(before: int, value: int) -> int:
    order = (BLANK, 0, UNCERTAIN, 1, 2, 3)
    return max(before, value, key=order.index)


def write(
    statuses: tuple[Status, ...], generator: np.random.Generator
) -> Report:
    """Writes the report of a study.

    Args:
        statuses: The study's hidden variables H.
        generator: The wording V^R, independent of everything in the images.

    Returns:
        The report, its sentences in random order within each section.
    """
    return _Writer(generator).report(statuses)


class _Writer:
    """One radiologist at work: draws every choice of words."""

    def __init__(self, generator: np.random.Generator):
        self.generator = generator
        self.style = self.pick(STYLES)

    def chance(self, probability: float) -> bool:
        return bool(self.generator.random() < probability)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self.generator.integers(len(choices)))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return [items[i] for i in self.generator.permutation(len(items))]

    def report(self, statuses: tuple[Status, ...]) -> Report:
        told = [s for s in _together(statuses) if not self.chance(OMITTED)]
        findings = [self.tell(group) for group in told]
        findings += self.suspect(statuses)
        findings += self.deny(statuses, findings)
        count = int(self.generator.poisson(0.9))
        for text in self.shuffled(words.BOILERPLATE)[:count]:
            findings.append(Sentence(self.finish(text)))
        findings = self.shuffled(findings)
        return Report(tuple(findings), tuple(self.impression(findings)))

    def impression(self, findings: list[Sentence]) -> list[Sentence]:
        """Says the main findings again in other words."""
        sure = [s for s in findings if 1 in s.mentions.values()]
        unsure = any(s.finding for s in findings) and not sure
        if unsure or self.chance(0.4):
            return []
        if not sure:
            return [Sentence(self.finish(self.pick(words.NOTHING_ACUTE)))]
        again = self.shuffled(sure)[: 1 + self.chance(0.3)]
        return [self.tell(s.statuses, hedged=False) for s in again]

    def tell(
        self,
        group: tuple[Status, ...],
        hedged: bool | None = None,
        present: bool = True,
    ) -> Sentence:
        """Says that something is there, or may be."""
        first = group[0]
        device = first.kind in words.TIPS
        if hedged is None:
            hedged = self.chance(HEDGED / 2 if device else HEDGED)
        phrase = self.device(first) if device else self.phrase(group)
        if device and not hedged and self.chance(0.6):
            text = f"{phrase} {self.pick(words.TIPS[first.kind])}."
            text = _article(text, drop=self.style != "full")
        else:
            text = self.fill(phrase, hedged)
        mentions = _mentions(group, hedged)
        return Sentence(
            self.finish(text), first.finding, group if present else (), mentions
        )

    def fill(self, phrase: str, hedged: bool) -> str:
        """Puts a noun phrase into a template of the style."""
        full = self.style == "full" or self.chance(0.25)
        if full:
            template = self.pick(words.HEDGED if hedged else words.POSITIVE)
        else:
            brief = words.BRIEF_HEDGED if hedged else words.BRIEF_POSITIVE
            template = self.pick(brief)
        with_article = _article(phrase)
        return template.format(a=with_article, bare=_article(phrase, drop=True))

    def device(self, status: Status) -> str:
        return self.pick(words.NOUNS[status.kind])

    def phrase(self, group: tuple[Status, ...]) -> str:
        """Returns a noun phrase: what, how much and where."""
        status = group[0]
        if status.kind == "edema":
            what = self.pick(words.EDEMA[status.grade - 1])
            return f"{what} {self.pick(words.EDEMA_PLACES)}".strip()
        if status.kind == "cardiomegaly":
            return self.pick(words.HEART[status.grade - 1])
        noun = self.pick(words.NOUNS[status.kind])
        if status.level:
            adjective = self.pick(words.ADJECTIVES.get(status.kind, ("",)))
            place = self.pick(words.ZONE_PLACES[status.level])
            return f"{_with(noun, adjective)} {place.format(status.side)}"
        return self.pleural(noun, group)

    def pleural(self, noun: str, group: tuple[Status, ...]) -> str:
        size = self.pick(words.GRADES[group[0].kind][group[0].grade - 1])
        if len(group) == 2:
            return f"{size} bilateral {noun.removeprefix('a ')}"
        side = group[0].side
        if self.chance(0.6):
            adjective = side if self.chance(0.7) else f"{side}-sided"
            return _with(noun, f"{size} {adjective}")
        return f"{_with(noun, size)} {self.pick(words.PLEURAL_PLACES)}".format(
            side
        )

    def suspect(self, statuses: tuple[Status, ...]) -> list[Sentence]:
        """Says that something may be there that is not."""
        there = truth(statuses, PATHOLOGY9)
        found = []
        for kind in ("effusion", "pneumothorax", *words.ADJECTIVES):
            imagined = Status(kind, self.pick(SIDES))
            if kind in words.ADJECTIVES:
                imagined = Status(kind, imagined.side, self.pick(LEVELS))
            if not there[imagined.finding] and self.chance(SUSPECTED):
                found.append(self.tell((imagined,), hedged=True, present=False))
        return found

    def deny(
        self, statuses: tuple[Status, ...], told: list[Sentence]
    ) -> list[Sentence]:
        """Says what is not there: one at a time, or up to three together."""
        there = truth(statuses, PATHOLOGY9)
        spoken = {label for sentence in told for label in sentence.mentions}
        absent = [
            label
            for label in PATHOLOGY9
            if not there[label]
            and label not in spoken
            and self.chance(words.DENIAL_RATES[label])
        ]
        sentences, rest = [], []
        for label in self.shuffled(absent):
            if label in words.NORMAL and self.chance(0.6):
                text = self.pick(words.NORMAL[label])
                sentences.append(self.denial(text, [label]))
            else:
                rest.append(label)
        while rest:
            count = int(self.generator.integers(1, 4))
            labels, rest = rest[:count], rest[count:]
            listed = _list([self.pick(words.DENIED[label]) for label in labels])
            text = self.pick(words.NEGATED).format(list=listed)
            sentences.append(self.denial(text, labels))
        return sentences

    def denial(self, text: str, labels: list[str]) -> Sentence:
        mentions = dict.fromkeys(labels, 0)
        if "Edema" in mentions:
            mentions[EDEMA_SEVERITY] = 0
        return Sentence(self.finish(text), mentions=mentions)

    def finish(self, text: str) -> str:
        """Returns the sentence in the case of the style."""
        if self.style == "lower":
            return text.lower()
        return text[0].upper() + text[1:]


def _together(statuses: tuple[Status, ...]) -> list[tuple[Status, ...]]:
    """Puts equal pleural findings of both sides into one sentence."""
    groups: list[tuple[Status, ...]] = []
    for status in statuses:
        last = groups[-1][0] if groups else None
        same = last and (last.kind, last.grade) == (status.kind, status.grade)
        if same and status.kind in words.GRADES:
            groups[-1] += (status,)
        else:
            groups.append((status,))
    return groups


def _mentions(group: tuple[Status, ...], hedged: bool) -> dict[str, int]:
    """Returns what a labeller reads in a sentence about these statuses."""
    value = UNCERTAIN if hedged else 1
    mentions = {name: value for s in group for name in s.findings}
    if group[0].kind == "edema" and not hedged:
        mentions[EDEMA_SEVERITY] = group[0].grade
    return mentions


def _with(noun: str, adjective: str) -> str:
    """Puts an adjective before a noun and behind its article."""
    if not adjective:
        return noun
    bare = noun.removeprefix("a ")
    return f"{'a ' if noun != bare else ''}{adjective} {bare}"


def _article(phrase: str, drop: bool = False) -> str:
    """Returns the phrase with the right article, or without any."""
    if not phrase.startswith("a "):
        return phrase
    if drop:
        return phrase[2:]
    vowel = phrase[2].lower() in "aeiou"
    return f"an {phrase[2:]}" if vowel else phrase


def _list(items: list[str]) -> str:
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])} or {items[-1]}"
