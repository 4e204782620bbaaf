"""Archives that limit their answers in many ways, in memory: what a test needs to ask tens of thousands of times."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.limits import KnownLimits
from dicomove.search.parts.capped import ask_whole

Study = dict[str, str]
Keys = Mapping[str, str | list[str]]

_ERRORS: Final = {
    "0x0000": None,
    "0xB001": "capped",
    "0xA700": "out_of_resources",
    "0xA900": "identifier_mismatch",
    "0xC001": "unable_to_process",
    "0xFE00": "cancelled_by_pacs",
}
_RANGES: Final = ("StudyDate", "StudyTime", "PatientBirthDate", "SeriesDate", "SeriesTime")
_TEXTS: Final = ("PatientID", "AccessionNumber", "StudyID", "PatientName", "Modality")

TODAY = dt.date(2026, 11, 26)
BROAD = {
    "QueryRetrieveLevel": "STUDY",
    "StudyInstanceUID": "",
    "PatientName": "*",
    "PatientID": "",
    "AccessionNumber": "",
    "StudyDate": "",
    "StudyTime": "",
}
#: Archives by what their studies have in common.
KINDS = ["plain", "one minute", "without dates", "one without a date", "some without times", "without times", "one day"]


@dataclass
class Capped:
    """Answers C-FINDs at one level.

    Attributes
    ----------
    studies
        What it has.
    cap
        Which matches it gives, of those that fit, in their order.
    order
        The order of the matches.
    status
        The final status of an answer that lacks matches.
    is_bare
        Whether such an answer has no matches at all.
    unique
        The unique key of the level.
    ignores
        Keys that it ignores.
    folds
        Whether it ignores upper and lower case.
    """

    studies: Sequence[Study]
    cap: Callable[[Capped, list[Study]], list[Study]]
    order: Callable[[Study], object] | None = None
    status: str = "0x0000"
    is_bare: bool = False
    unique: str = "StudyInstanceUID"
    ignores: frozenset[str] = frozenset()
    folds: bool = False
    requests: int = 0
    given: int = 0
    #: Since the association began.
    given_here: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    keys: Keys = field(default_factory=dict)

    def ask(self, keys: Keys) -> FindResult:
        """Answer one C-FIND."""
        self.requests += 1
        self.keys = keys
        fitting = [study for study in self.studies if self._fits(study, keys)]
        if self.order:
            fitting.sort(key=self.order)  # type: ignore[arg-type]  # it is text, or numbers
        kept = self.cap(self, fitting)
        is_cut = len(kept) < len(fitting)
        kept = [] if is_cut and self.is_bare else kept
        self.given += len(kept)
        self.given_here += len(kept)
        status = self.status if is_cut else "0x0000"
        return FindResult(tuple(dict(study) for study in kept), status, _ERRORS[status])

    def renew(self) -> None:
        """Begin a new association."""
        self.given_here = 0

    def _fits(self, study: Study, keys: Keys) -> bool:
        return all(
            self._value_fits(study.get(name, ""), str(keys[name]), name)
            for name in (*_RANGES, *_TEXTS, "SeriesNumber", "InstanceNumber")
            if keys.get(name) and name not in self.ignores
        )

    def _value_fits(self, value: str, key: str, name: str) -> bool:
        if name in _RANGES:
            first, hyphen, last = key.partition("-")
            return bool(value) and first <= value <= ((last or "9") if hyphen else f"{first}~")
        if name in _TEXTS:
            pattern = re.escape(key).replace(r"\*", ".*").replace(r"\?", ".")
            return re.fullmatch(pattern, value, re.IGNORECASE if self.folds else 0) is not None
        return value == key


# ------------------------------------------------------------------------------------------------ how it limits them


def first(most: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give the first so many."""
    return lambda _, fitting: fitting[:most]


def or_few(most: int, few: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give a few where there are more than so many."""
    return lambda _, fitting: fitting if len(fitting) <= most else fitting[:few]


def of_each_patient(most: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give so many of each patient."""

    def cap(_: Capped, fitting: list[Study]) -> list[Study]:
        counts: Counter[str] = Counter()
        kept = []
        for study in fitting:
            counts[study["PatientID"]] += 1
            if counts[study["PatientID"]] <= most:
                kept.append(study)
        return kept

    return cap


def some(most: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give so many, others each time."""
    return lambda archive, fitting: archive.chance.sample(fitting, min(most, len(fitting)))


def by_series(most: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Count series: a study has from 1 to 5 of them."""

    def cap(_: Capped, fitting: list[Study]) -> list[Study]:
        total, kept = 0, []
        for study in fitting:
            total += int(study["StudyInstanceUID"].rpartition(".")[2]) % 5 + 1
            if total > most:
                break
            kept.append(study)
        return kept

    return cap


def by_load(low: int, high: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give as many as the load allows: another number each time."""
    return lambda archive, fitting: fitting[: archive.chance.randint(low, high)]


def lower_later(most: int, later: int, after: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give fewer after the first requests."""
    return lambda archive, fitting: fitting[: most if archive.requests <= after else later]


def of_an_association(most: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give so many over one association."""
    return lambda archive, fitting: fitting[: max(most - archive.given_here, 0)]


def in_all(most: int) -> Callable[[Capped, list[Study]], list[Study]]:
    """Give so many in all, as a PACS may do within an hour."""
    return lambda archive, fitting: fitting[: max(most - archive.given, 0)]


def studies(kind: str, number: int = 200) -> list[Study]:
    """An archive in some order."""
    chance = random.Random(5)
    made = []
    for place in range(number):
        day = dt.date(2024, 1, 1) + dt.timedelta(days=0 if kind == "one day" else chance.randrange(366))
        clock = f"{chance.randrange(7, 19):02}{chance.randrange(60):02}{chance.randrange(60):02}"
        if kind == "one minute" and place % 4 == 0:
            day, clock = dt.date(2024, 5, 6), "093000"
        no_time = kind == "without times" or (kind == "some without times" and place % 3 == 0)
        no_date = (kind == "without dates" and place % 10 == 0) or (kind == "one without a date" and place == 7)
        made.append(
            {
                "StudyInstanceUID": f"1.2.{place}",
                "PatientName": "X",
                "PatientID": f"P{chance.randrange(number // 3):05}",
                "AccessionNumber": f"A{place:06}",
                "StudyID": str(place),
                "StudyDate": "" if no_date else f"{day:%Y%m%d}",
                "StudyTime": "" if no_time or no_date else clock,
            }
        )
    chance.shuffle(made)
    return made


def asked(archive: Capped, keys: Keys = BROAD, limits: KnownLimits | None = None) -> FindResult:
    return ask_whole(archive.ask, keys, limits or KnownLimits(), TODAY, archive.renew)


def uids(result: FindResult) -> list[str]:
    return sorted(match["StudyInstanceUID"] for match in result)
