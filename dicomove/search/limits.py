"""The limits of a PACS, as far as a run has learnt them: above all, the number of matches at which it stops. Pure.

Many PACS return at most 100, 500 or 1,000 matches, most of them with Success. An answer is in doubt until the PACS has
returned a longer one that was verified as complete.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from dicomove.words import ADVICE

#: Answers with fewer matches are not verified.
FEW: Final = 3

#: The most UIDs in one list. A longer list gains little: the matches then take most of the time.
MOST_IN_LIST: Final = 50
#: Limits are multiples of this number.
_ROUND: Final = 50

#: The remedy for an incomplete list, by the level; for studies it is in `ADVICE`.
CAPPED: Final = {
    "patients": "There may be patients that the PACS does not tell: ask by PatientID, or for studies by date.",
    "series": "There are series that the PACS does not tell: ask by Modality or SeriesNumber, or move the whole study.",
    "instances": "There are instances that the PACS does not tell: move the whole series.",
    "studies": ADVICE["capped"],
}

Match = Mapping[str, str]


class KnownLimits:
    """The known limits of one PACS; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The largest number of matches: to one request, and of one patient.
        self.most: int | None = None
        self.most_of_a_patient: int | None = None
        self._proved = self._proved_of_a_patient = 0
        self._counts_are_believed = True
        #: Whether the limit varies, so that one complete answer proves nothing about other ones.
        self.is_unsteady = False
        #: Whether the PACS limits the matches of one association.
        self.needs_fresh_associations = False
        #: The number of matches in an answer to a search that matches too much, if the PACS hides that behind Success.
        self.hides: int | None = None
        #: The attributes whose last characters find matches at such a PACS; ``None`` if they are unknown.
        self.searchable: tuple[str, ...] | None = None
        #: The number of broad searches with few matches that were verified as complete.
        self.honest = 0
        #: Whether the PACS refuses a range with an open end.
        self.closes_ranges = False
        #: Whether the PACS refuses a search that asks for `OPTIONAL_KEYS`.
        self.without_optional_keys = False
        #: For each level at which answers lack the UIDs above them, whether the PACS searches by these UIDs.
        self.searches_by_uids_above: dict[str, bool] = {}
        #: The length of a list of UIDs that the PACS answers completely; below 2 if it does not accept lists.
        self.most_in_list = MOST_IN_LIST
        #: Whether it is known how the PACS answers lists; until then, only one thread at a time sends a list.
        self.lists_are_known = False
        self.trial = threading.Lock()
        self._levels: dict[str, KnownLimits] = {}

    def of(self, level: str) -> KnownLimits:
        """Return the limits at a level: a PACS may limit lists of instances in another way than studies."""
        if level == "STUDY":
            return self
        with self._lock:
            return self._levels.setdefault(level, KnownLimits())

    def shorten_lists(self, answered: int) -> None:
        """Learn that a list with this number of answers lacked one that a search for a single row brought."""
        with self._lock:
            self.most_in_list = min(self.most_in_list, answered)
            self.lists_are_known = True

    def reached(self, matches: Sequence[Match]) -> bool:
        """Whether an answer has reached a limit."""
        return self.reached_by_request(matches) or bool(self.full_patients(matches))

    def reached_by_request(self, matches: Sequence[Match]) -> bool:
        """Whether an answer has reached the limit of one request."""
        return self.most is not None and len(matches) >= self.most

    def full_patients(self, matches: Sequence[Match]) -> list[str]:
        """Return the patients for whom an answer has reached the limit of one patient."""
        most = self.most_of_a_patient
        if most is None:
            return []
        return [patient for patient, number in _by_patient(matches).items() if patient and number >= most]

    def may_hide(self, matches: Sequence[Match]) -> bool:
        """Whether an answer is short enough to hide too many matches."""
        return self.hides is not None and len(matches) <= self.hides

    def may_search_by(self, text: str) -> bool:
        """Whether the PACS may find matches by the characters of an attribute."""
        return self.hides is None or self.searchable is None or text in self.searchable

    def doubted(self, matches: Sequence[Match], keys: Mapping[str, object]) -> bool:
        """Whether the completeness of an answer should be verified."""
        if len(matches) >= FEW and (self.is_unsteady or len(matches) > self._proved):
            return True
        if _of_a_patient(matches) >= FEW and _of_a_patient(matches) > self._proved_of_a_patient:
            return True
        return self._counts_are_believed and _is_below_count(matches, keys)

    @property
    def longest(self) -> int:
        """The length of the longest answer that was verified."""
        return self._proved

    def verified(self, matches: Sequence[Match], keys: Mapping[str, object]) -> None:
        """Learn that an answer is complete."""
        with self._lock:
            self._proved = max(self._proved, len(matches))
            self._proved_of_a_patient = max(self._proved_of_a_patient, _of_a_patient(matches))
            # A complete answer below the count: NumberOfPatientRelatedStudies counts other studies, too.
            self._counts_are_believed &= not _is_below_count(matches, keys)

    def see(self, matches: Sequence[Match]) -> None:
        """Learn from an answer that exceeds a known limit."""
        if self.most is not None and len(matches) > self.most:
            self.is_unsteady = True
        if self.most_of_a_patient is not None and _of_a_patient(matches) > self.most_of_a_patient:
            with self._lock:
                self.most_of_a_patient, self.is_unsteady = None, True

    def learn(self, matches: Sequence[Match], more: Iterable[Match]) -> None:
        """Learn a limit from an answer that was cut off, and from the matches that it lacked."""
        counts = _by_patient(matches)
        highest = max(counts.values(), default=0)
        patients = set(_by_patient(more))
        with self._lock:
            if highest > 1 and patients and all(counts[patient] == highest for patient in patients):
                self.most_of_a_patient = min(highest, self.most_of_a_patient or highest)
            else:
                self.most = min(len(matches), self.most or len(matches))


def limit(limits: KnownLimits) -> str:
    """Return a clause about the PACS's limit."""
    if limits.hides is not None:
        few = "nothing" if limits.hides == 0 else f"{limits.hides} of the matches"
        return f"the PACS says Success and gives {few} where a search matches too much"
    if limits.is_unsteady:
        return "the PACS gives a limited number of answers, and not always the same"
    if limits.most:
        return f"the PACS gives at most {limits.most} answers"
    if limits.most_of_a_patient:
        return f"the PACS gives at most {limits.most_of_a_patient} answers of one patient"
    return "the PACS does not answer so broad a search"


def may_be_cut(answers: int) -> bool:
    """Whether a PACS may stop at this number of matches.

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


def _is_below_count(matches: Sequence[Match], keys: Mapping[str, object]) -> bool:
    """Whether the PACS counts more studies of the patient, if the PatientID was the only condition."""
    asked = {name for name, value in keys.items() if value and name != "QueryRetrieveLevel"}
    if asked != {"PatientID"} or not {"*", "?"}.isdisjoint(str(keys["PatientID"])):
        return False
    counts = [match.get("NumberOfPatientRelatedStudies", "") for match in matches]
    return max((int(count) for count in counts if count.isdigit()), default=0) > len(matches)
