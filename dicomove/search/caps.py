"""What a run has learnt about a PACS, above all the number of answers at which it stops. Pure.

Many PACS give at most 100, 500 or 1,000 answers, and most of them say Success then. A number of answers is doubted
until the PACS has given more in one answer, and proved to have given all of them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

#: Fewer answers than these are no reason to ask again.
FEW: Final = 3

#: The UIDs in one list. A longer list gains little: the time of a C-FIND is then that of its answers.
MOST_IN_LIST: Final = 50
#: Limits of answers are multiples of this.
_ROUND: Final = 50

Match = Mapping[str, str]


class Caps:
    """What was learnt about one PACS; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The answers that the PACS gives at the most: to one request, and of one patient.
        self.most: int | None = None
        self.most_of_a_patient: int | None = None
        self._proved = self._proved_of_a_patient = 0
        self._counts_are_believed = True
        #: Whether the limit was seen to vary, so that a number of answers proves nothing about another answer.
        self.is_unsteady = False
        #: Whether the PACS counts its answers by association.
        self.needs_fresh_associations = False
        #: How many matches an answer has where there are too many, if the PACS hides that behind Success.
        self.hides: int | None = None
        #: The texts by whose last characters such a PACS tells matches, as far as that is known.
        self.told_by: tuple[str, ...] | None = None
        #: How many broad searches with hardly a match were found to be honest.
        self.honest = 0
        #: Whether the PACS refuses a range with an open end.
        self.closes_ranges = False
        #: Whether the PACS refuses a search that asks for `OPTIONAL_KEYS`.
        self.without_optional_keys = False
        #: The UIDs in a list to which the PACS gives all answers; less than two where it takes no lists.
        self.most_in_list = MOST_IN_LIST
        #: Whether a list has told how the PACS answers lists; until then, one thread at a time asks for one.
        self.lists_are_known = False
        self.trial = threading.Lock()
        self._levels: dict[str, Caps] = {}

    def of(self, level: str) -> Caps:
        """Return what was learnt at a level: a PACS may limit its lists of instances, say, in another way."""
        if level == "STUDY":
            return self
        with self._lock:
            return self._levels.setdefault(level, Caps())

    def shorten_lists(self, answered: int) -> None:
        """Learn that a list lacked answers that a row alone brought; it had so many."""
        with self._lock:
            self.most_in_list = min(self.most_in_list, answered)
            self.lists_are_known = True

    def reached(self, matches: Sequence[Match]) -> bool:
        """Whether an answer has as many matches as the PACS gives at the most."""
        return self.reached_by_request(matches) or bool(self.full_patients(matches))

    def reached_by_request(self, matches: Sequence[Match]) -> bool:
        """Whether an answer has as many matches as the PACS gives to one request."""
        return self.most is not None and len(matches) >= self.most

    def full_patients(self, matches: Sequence[Match]) -> list[str]:
        """Return the patients of whom an answer has as many matches as the PACS gives of one."""
        most = self.most_of_a_patient
        if most is None:
            return []
        return [patient for patient, number in _by_patient(matches).items() if patient and number >= most]

    def may_hide(self, matches: Sequence[Match]) -> bool:
        """Whether an answer is as short as one in which the PACS hides that there are too many matches."""
        return self.hides is not None and len(matches) <= self.hides

    def may_tell_by(self, text: str) -> bool:
        """Whether the PACS may tell matches by the characters of a text."""
        return self.hides is None or self.told_by is None or text in self.told_by

    def doubted(self, matches: Sequence[Match], keys: Mapping[str, object]) -> bool:
        """Whether it should be proved that an answer has all matches."""
        if len(matches) >= FEW and (self.is_unsteady or len(matches) > self._proved):
            return True
        if _of_a_patient(matches) >= FEW and _of_a_patient(matches) > self._proved_of_a_patient:
            return True
        return self._counts_are_believed and _is_below_count(matches, keys)

    @property
    def longest(self) -> int:
        """The length of the longest answer that was proved."""
        return self._proved

    def prove(self, matches: Sequence[Match], keys: Mapping[str, object]) -> None:
        """Learn that an answer had all matches."""
        with self._lock:
            self._proved = max(self._proved, len(matches))
            self._proved_of_a_patient = max(self._proved_of_a_patient, _of_a_patient(matches))
            # Then NumberOfPatientRelatedStudies counts something else than the answers.
            self._counts_are_believed &= not _is_below_count(matches, keys)

    def see(self, matches: Sequence[Match]) -> None:
        """Learn from any answer: one that has more than was thought to be the limit."""
        if self.most is not None and len(matches) > self.most:
            self.is_unsteady = True
        if self.most_of_a_patient is not None and _of_a_patient(matches) > self.most_of_a_patient:
            with self._lock:
                self.most_of_a_patient, self.is_unsteady = None, True

    def learn(self, matches: Sequence[Match], more: Iterable[Match]) -> None:
        """Learn a cap from an answer that was cut off, and from matches that it lacked."""
        counts = _by_patient(matches)
        highest = max(counts.values(), default=0)
        patients = {match.get("PatientID", "") for match in more}
        with self._lock:
            if highest > 1 and patients and all(counts[patient] == highest for patient in patients):
                self.most_of_a_patient = min(highest, self.most_of_a_patient or highest)
            else:
                self.most = min(len(matches), self.most or len(matches))


def may_be_cut(answers: int) -> bool:
    """Whether this many answers are a number at which a PACS may stop.

    Examples
    --------
    >>> may_be_cut(500), may_be_cut(499)
    (True, False)
    """
    return answers % _ROUND == 0


def _by_patient(matches: Iterable[Match]) -> Counter[str]:
    return Counter(match.get("PatientID", "") for match in matches)


def _of_a_patient(matches: Iterable[Match]) -> int:
    counts = _by_patient(matches)
    del counts[""]
    return max(counts.values(), default=0)


def _names_a_patient(keys: Mapping[str, object]) -> bool:
    patient = str(keys.get("PatientID") or "")
    return bool(patient) and {"*", "?"}.isdisjoint(patient)


def _is_below_count(matches: Sequence[Match], keys: Mapping[str, object]) -> bool:
    """Whether the PACS counts more studies of the patient, where the PatientID was the only condition."""
    asked = {name for name, value in keys.items() if value and name != "QueryRetrieveLevel"}
    if asked != {"PatientID"} or not _names_a_patient(keys):
        return False
    counts = [match.get("NumberOfPatientRelatedStudies", "") for match in matches]
    return max((int(count) for count in counts if count.isdigit()), default=0) > len(matches)
