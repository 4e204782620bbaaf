"""Whether a match is of the row that asked: compares the two, and asks the PACS about what the match leaves blank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import uuid4

from dicomove.cohort import UNIQUE_KEYS, Step, is_blank, matches, unsafe
from dicomove.dimse import FindResult
from dicomove.search.answers import merged, unproven, why_not
from dicomove.search.c_find import Asker
from dicomove.search.limits import KnownLimits

_Pairs = Sequence[tuple[str, str]]
_MODALITIES: Final = "ModalitiesInStudy"


class UnconfirmedError(Exception):
    """A C-FIND about a match had no answer, so that it is not known whether the match is of its row."""

    def __init__(self, found: FindResult) -> None:
        super().__init__("whose a match is could not be asked")
        self.found = found


class MatchCheck:
    """Tells whether the matches of one PACS are of the rows that asked.

    Parameters
    ----------
    asker
        Sends the C-FINDs.
    limits
        The known limits of the PACS.
    """

    def __init__(self, asker: Asker, limits: KnownLimits) -> None:
        self._asker, self._limits = asker, limits

    def why_not(
        self, match: dict[str, str], step: Step, above: Mapping[str, str], keys: _Pairs, repeated: Sequence[str]
    ) -> str | None:
        """Return why a match does not fit the row, or None if it does.

        If the PACS does not give the modalities of a study, its series are asked, and the match gets them.

        Parameters
        ----------
        match
            The match.
        step
            The C-FIND that brought it.
        above
            The match at the level above.
        keys
            All keys of the row down to this level.
        repeated
            The keys that an answer has to repeat.

        Raises
        ------
        UnconfirmedError
            A C-FIND about the match had no answer.
        """
        upper = [(name, above[name]) for name in step.above if above.get(name)]
        expected = [*keys, *upper]
        reason = why_not(match, step.unique, expected, repeated)
        if reason is None and _MODALITIES in dict((*step.keys, *step.checks)) and not match.get(_MODALITIES):
            match[_MODALITIES] = "\\".join(self._modalities(merged(above, match), step))
            reason = why_not(match, step.unique, expected, repeated)
        if reason is not None:
            return reason
        one = {"QueryRetrieveLevel": step.level, **dict(upper), step.unique: match[step.unique]}
        lacking = [name for name, _ in upper if name.endswith("UID") and is_blank(match.get(name))]
        if lacking and not self._heeds_uids_above(one, step):
            return f"came without {' and '.join(lacking)}, and the PACS ignores it in a search"
        blank = unproven(match, step.checks)
        return self._not_confirmed(one, blank, step) if blank else None

    def _heeds_uids_above(self, one: Mapping[str, str], step: Step) -> bool:
        """Return whether the PACS finds a match only below its own study and series, and not below any UID.

        Answers need not repeat the UIDs above them. If the PACS ignores these, its answers may be of any patient.
        """
        if step.level not in (heeds := self._limits.heeds_uids_above):
            nowhere = {**one, step.above[-1]: f"2.25.{uuid4().int}"}
            found = self._asker.find(nowhere, query_model=step.query_model, is_enough=lambda _: True)
            if found.error and found.status is None:
                raise UnconfirmedError(found)
            heeds[step.level] = not found.matches
        return heeds[step.level]

    def _not_confirmed(self, one: Mapping[str, str], checks: _Pairs, step: Step) -> str | None:
        """Return why a match does not fit the row, if it leaves identifying keys of the row blank.

        The PACS may not return these keys, or the study may lack them. A search by the keys distinguishes the two: it
        returns the match again, or nothing.
        """
        again = self._asker.find({**one, **dict(checks)}, query_model=step.query_model)
        if again.error:
            raise UnconfirmedError(again)
        if any(matches([*one.items(), *checks], found) for found in again):
            return None
        names = " and ".join(name for name, _ in checks)
        return f"came without {names}, and the PACS does not find it by the {names} of the row"

    def _modalities(self, study: Mapping[str, str], step: Step) -> Iterable[str]:
        keys = {name: study.get(name, "") for name in UNIQUE_KEYS[step.query_model]["STUDY"]}
        if any(unsafe(uid, name) for name, uid in keys.items()):
            return []
        asked = {"QueryRetrieveLevel": "SERIES", "Modality": "", "SeriesInstanceUID": "", **keys}
        series = self._asker.find(asked, query_model=step.query_model)
        return sorted({match["Modality"] for match in series if match.get("Modality")})
