"""Compares an answer of C-FIND with the row that asked, and names the reason if it is not a match. Pure.

A PACS may ignore keys that it does not support, ignore upper and lower case, or leave out the UID that a move needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from dicomove.cohort import (
    EDGES,
    IDENTIFYING_KEYS,
    KEYWORDS,
    Query,
    contradictions,
    is_blank,
    only_difference,
    plain_text,
    unsafe,
)
from dicomove.outcome import minority

_ADVICE_ON_PATIENTS: Final = {
    "PatientID": "keep those of the patient that the row means, or name PatientID, too",
    "IssuerOfPatientID": "patients of two sites have this PatientID; name IssuerOfPatientID, too",
    "PatientBirthDate": "the PatientID may be that of two patients; name PatientBirthDate or PatientName, too",
}

ISSUER: Final = "IssuerOfPatientID"
OF_ANY_SITE: Final = (
    f"The PACS does not return {ISSUER}, so it is not compared: the match may be of a patient at another site."
)

#: The numbers of a study in a row: a study without one may be another study of the patient.
_OF_STUDY: Final = ("AccessionNumber", "StudyID")

#: Matches with one UID stay apart if they differ in one of these keys.
DISTINGUISHING: Final = (
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "AccessionNumber"),
    *("StudyInstanceUID", "SeriesInstanceUID"),
)


def why_not(
    answer: Mapping[str, object],
    unique: str,
    keys: Sequence[tuple[str, str]],
    identifying: Sequence[str] = (),
) -> str | None:
    """Return why an answer is not a match of the row that asked, or None if it is one.

    Parameters
    ----------
    answer
        The values of the answer, by keyword.
    unique
        The unique key of the level of the C-FIND.
    keys
        All keys of the row, and the unique keys of the levels above, as pairs of keyword and value.
    identifying
        The keys of this level that name a patient or a study in the row, if the answer must repeat them. A repeated
        PatientID speaks for the patient's other keys. If an answer does not repeat the keys, the PACS may have ignored
        them.

    Examples
    --------
    >>> why_not({"StudyInstanceUID": "", "AccessionNumber": "A1"}, "StudyInstanceUID", [("AccessionNumber", "A1")])
    'came without StudyInstanceUID'
    >>> why_not({"StudyInstanceUID": "1.2", "AccessionNumber": "a1"}, "StudyInstanceUID", [("AccessionNumber", "A1")])
    'differed only in upper and lower case (AccessionNumber)'
    """
    problem = unsafe(str(answer.get(unique) or "").strip(EDGES), unique)
    if problem:
        return f"came without {unique}" if is_blank(answer.get(unique)) else f"came with {unique} that {problem}"
    wrong = contradictions(keys, answer)
    if not wrong:
        blank = _unrepeated(answer, identifying)
        return f"came without {' and '.join(blank)}, by which the row asked" if blank else None
    looks_alike = only_difference(keys, answer)
    return f"differed only in {looks_alike}" if looks_alike else f"had another {' and '.join(dict.fromkeys(wrong))}"


def _unrepeated(answer: Mapping[str, object], identifying: Sequence[str]) -> list[str]:
    """Return the keys that an answer leaves blank, and that no PatientID in it proves."""
    blank = [name for name in identifying if is_blank(answer.get(name))]
    has_patient = "PatientID" in identifying and "PatientID" not in blank
    return [name for name in blank if name in _OF_STUDY or not has_patient]


def unrepeated(answer: Mapping[str, object], identifying: Sequence[str]) -> str | None:
    """Return a sentence about an answer that does not repeat the keys that name a patient or a study in the row.

    One repeated key speaks for the patient; only an accession number or a StudyID speaks for the study.

    Examples
    --------
    >>> unrepeated({"StudyInstanceUID": "1.2", "AccessionNumber": ""}, ["AccessionNumber"])
    'The answer does not repeat AccessionNumber, so dicomove cannot check that it belongs to the row.'
    """
    blank = _unrepeated(answer, identifying)
    if not blank or not ({*_OF_STUDY}.intersection(blank) or len(blank) == len(identifying)):
        return None
    return f"The answer does not repeat {' and '.join(blank)}, so dicomove cannot check that it belongs to the row."


def unwritten(answer: Mapping[str, object], keys: Iterable[tuple[str, str]]) -> str | None:
    """Return a sentence about letters of an identifying key that the archive has dropped or replaced in its answer.

    Examples
    --------
    >>> unwritten({"PatientName": "M?ller^Anna"}, [("PatientName", "Müller^Anna")])
    'The PACS does not return all letters of PatientName, so dicomove cannot compare them: is it the same patient?'
    >>> unwritten({"PatientName": "MÜLLER^ANNA"}, [("PatientName", "Müller^Anna")]) is None
    True
    """
    lacking = [
        name
        for name, asked in keys
        if name in IDENTIFYING_KEYS
        and not asked.isascii()
        and not is_blank(answer.get(name))
        and _other_letters(asked) - _other_letters(str(answer[name]))
    ]
    if not lacking:
        return None
    named = " and ".join(lacking)
    return f"The PACS does not return all letters of {named}, so dicomove cannot compare them: is it the same patient?"


def _other_letters(value: str) -> set[str]:
    return {letter for letter in plain_text(value).casefold() if not letter.isascii()}


def unproven(answer: Mapping[str, object], checks: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the identifying keys of a row that were not sent, and that an answer leaves blank.

    A PatientID that the answer repeats is proof enough: another study of this patient has another UID.

    Examples
    --------
    >>> unproven({"StudyInstanceUID": "1.2", "PatientID": ""}, [("PatientID", "7"), ("Modality", "CT")])
    [('PatientID', '7')]
    >>> unproven({"PatientID": "7", "AccessionNumber": ""}, [("PatientID", "7"), ("AccessionNumber", "A1")])
    []
    """
    named = [(name, value) for name, value in checks if name in IDENTIFYING_KEYS]
    if any(name == "PatientID" and not is_blank(answer.get(name)) for name, _ in named):
        return []
    return [(name, value) for name, value in named if is_blank(answer.get(name))]


def several_patients(found: Sequence[Mapping[str, object]], *, by_uid: bool = False) -> str | None:
    """Return a sentence if the matches of one row seem to belong to different patients, or None.

    In an archive for several sites, patients of different sites may share an accession number, or a PatientID. The
    images of one UID may have the PatientID in several spellings.

    Examples
    --------
    >>> several_patients([{"PatientID": "7"}, {"PatientID": "8"}])
    'The matches have 2 different PatientIDs: keep those of the patient that the row means, or name PatientID, too.'
    >>> several_patients([{"PatientID": "7", "PatientBirthDate": "19500101"}, {"PatientID": "7"}]) is None
    True
    >>> several_patients([{"PatientID": "7"}, {"PatientID": "007"}], by_uid=True) is None
    True
    """
    for name, advice in _ADVICE_ON_PATIENTS.items():
        values = [str(match.get(name) or "").strip(EDGES) for match in found]
        different = len({*values} - {""})
        if different > 1 and not (by_uid and name == "PatientID" and not minority(values)):
            return f"The matches have {different} different {name}s: {advice}."
    return None


def left_out(reasons: Iterable[str]) -> str | None:
    """Return a sentence about the answers that were left out, or None if there were none.

    Examples
    --------
    >>> left_out(["came without StudyInstanceUID", "had another PatientID", "had another PatientID"])
    'Some answers of the PACS were left out: 1 came without StudyInstanceUID; 2 had another PatientID.'
    """
    counted: dict[str, int] = {}
    for reason in reasons:
        counted[reason] = counted.get(reason, 0) + 1
    if not counted:
        return None
    named = "; ".join(f"{number} {reason}" for reason, number in counted.items())
    return f"Some answers of the PACS were left out: {named}."


def merged(above: Mapping[str, str], answer: Mapping[str, str]) -> dict[str, str]:
    """Return an answer together with the answers of the levels above. An empty value does not replace another.

    Examples
    --------
    >>> merged({"StudyInstanceUID": "1.2"}, {"StudyInstanceUID": "", "SeriesInstanceUID": "1.2.1"})
    {'StudyInstanceUID': '1.2', 'SeriesInstanceUID': '1.2.1'}
    """
    return {**answer, **above, **{name: value for name, value in answer.items() if not is_blank(value)}}


def each_once(matches: Iterable[Mapping[str, str]], unique: str) -> list[dict[str, str]]:
    """Return one match for each study, series or instance. Matches of possibly different patients stay apart.

    An archive that joins two databases may return a study twice, with the number of instances and the Retrieve AE Title
    of each. The values of the first match count, and the others only fill its blank values. Of numbers of instances,
    the largest counts: if too few were expected, missing ones would not be noticed.

    Examples
    --------
    >>> first = {"StudyInstanceUID": "1.2", "PatientID": "7", "StudyDate": ""}
    >>> each_once([first, first | {"StudyDate": "20240102"}, first | {"PatientID": "8"}], "StudyInstanceUID")
    [{'StudyInstanceUID': '1.2', 'PatientID': '7', 'StudyDate': '20240102'}, \
{'StudyInstanceUID': '1.2', 'PatientID': '8', 'StudyDate': ''}]
    """
    groups: dict[object, list[dict[str, str]]] = {}
    for match in matches:
        group = groups.setdefault(match.get(unique) or tuple(match.items()), [])
        same = next((index for index, other in enumerate(group) if _is_one(match, other)), None)
        if same is None:
            group.append(dict(match))
        else:
            group[same] = merged(match, group[same]) | _largest(match, group[same])
    return [match for group in groups.values() for match in group]


def _largest(match: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    counts = [name for name in match if name.startswith("NumberOf") and match[name].isdecimal()]
    return {name: max(match[name], other[name], key=int) for name in counts if other.get(name, "").isdecimal()}


def _is_one(match: Mapping[str, str], other: Mapping[str, str]) -> bool:
    values = ({match.get(name, ""), other.get(name, "")} - {""} for name in DISTINGUISHING)
    return all(len(different) < 2 for different in values)


def unconfirmed(match: Mapping[str, object], names: Iterable[str]) -> str | None:
    """Return a sentence about the criteria that an answer does not repeat, among those that many archives ignore.

    Examples
    --------
    >>> unconfirmed({"Modality": "CT"}, ["Modality", "InstitutionName"])
    'the PACS does not return InstitutionName: it may have ignored this criterion'
    >>> unconfirmed({"InstitutionName": "Mercy"}, ["Modality", "InstitutionName"]) is None
    True
    """
    lacking = [name for name in names if name not in KEYWORDS and is_blank(match.get(name))]
    return f"the PACS does not return {' and '.join(lacking)}: it may have ignored this criterion" if lacking else None


def is_of_any_site(query: Query, matches: Iterable[Mapping[str, object]]) -> bool:
    """Return whether a match may be of a patient at another site: it does not repeat the issuer that the row names.

    Many archives ignore it, and in Patient Root, studies are asked for by the PatientID alone. A row with the UID of a
    study means this study; so does one with both a PatientID and an accession number.
    """
    names = {name for step in query.steps for name, _ in (*step.keys, *step.checks)}
    is_one = "StudyInstanceUID" in names or {"PatientID", "AccessionNumber"} <= names
    is_asked = ISSUER in names and not is_one and query.level != "PATIENT"
    return is_asked and any(is_blank(match.get(ISSUER)) for match in matches)
