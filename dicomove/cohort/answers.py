"""An answer of C-FIND, held against the row that asked: whether it is a match, and why not. Pure.

A PACS may ignore keys that it does not support, fold cases, or leave out the UID by which its answer could be moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dicomove.cohort.likeness import odd_in
from dicomove.cohort.matching import contradictions, only_difference
from dicomove.cohort.values import EDGES, is_blank, unsafe


def why_not(
    answer: Mapping[str, object],
    unique: str,
    keys: Sequence[tuple[str, str]],
    identifying: Sequence[str] = (),
) -> str | None:
    """Say why an answer is not a match of the row that asked, or return None where it is one.

    Parameters
    ----------
    answer
        Its values, by keyword.
    unique
        The unique key of the level that was asked.
    keys
        All keys of the row, and the unique keys of the levels above, as pairs of keyword and value.
    identifying
        The keys of this level by which the row names a patient or a study, where the answer has to repeat them, or at
        least the PatientID among them: else it cannot be told from that of a PACS which ignores them.

    Examples
    --------
    >>> why_not({"StudyInstanceUID": "", "AccessionNumber": "A1"}, "StudyInstanceUID", [("AccessionNumber", "A1")])
    'came without StudyInstanceUID'
    >>> why_not({"StudyInstanceUID": "1.2", "AccessionNumber": "a1"}, "StudyInstanceUID", [("AccessionNumber", "A1")])
    'differed only in upper and lower case (AccessionNumber)'
    """
    problem = unsafe(str(answer.get(unique) or "").strip(EDGES))
    if problem:
        return f"came without {unique}" if is_blank(answer.get(unique)) else f"came with {unique} that {problem}"
    wrong = contradictions(keys, answer)
    if not wrong:
        blank = [name for name in identifying if is_blank(answer.get(name))]
        proven = not blank or ("PatientID" in identifying and "PatientID" not in blank)
        return None if proven else f"came without {' and '.join(blank)}, by which the row asked"
    looks_alike = only_difference(keys, answer)
    return f"differed only in {looks_alike}" if looks_alike else f"had another {' and '.join(dict.fromkeys(wrong))}"


def unrepeated(answer: Mapping[str, object], identifying: Sequence[str]) -> str | None:
    """Return a sentence on an answer that repeats none of the keys by which the row names a patient or a study.

    Examples
    --------
    >>> unrepeated({"StudyInstanceUID": "1.2", "AccessionNumber": ""}, ["AccessionNumber"])
    'The answer does not repeat AccessionNumber: the PACS alone says that it is what the row asked for.'
    """
    if not identifying or not all(is_blank(answer.get(name)) for name in identifying):
        return None
    named = " and ".join(identifying)
    return f"The answer does not repeat {named}: the PACS alone says that it is what the row asked for."


def left_out(reasons: Iterable[str]) -> str | None:
    """Return a sentence on the answers that were left out, or None where there were none.

    Examples
    --------
    >>> left_out(["came without StudyInstanceUID", "had another PatientID", "had another PatientID"])
    'Of the answers of the PACS, these were left out: 1 came without StudyInstanceUID; 2 had another PatientID.'
    """
    counted: dict[str, int] = {}
    for reason in reasons:
        counted[reason] = counted.get(reason, 0) + 1
    if not counted:
        return None
    named = "; ".join(f"{number} {reason}" for reason, number in counted.items())
    return f"Of the answers of the PACS, these were left out: {named}."


def odd_characters(keys: Iterable[tuple[str, str]]) -> list[str]:
    r"""Return a sentence for each key that holds characters which look like others: they may explain an empty answer.

    Examples
    --------
    >>> odd_characters([("AccessionNumber", "\u041012")])
    ['AccessionNumber holds U+0410 CYRILLIC CAPITAL LETTER A, which looks like another character']
    """
    found = {name: odd_in(value) for name, value in keys}
    return [f"{name} holds {', '.join(odd)}, which looks like another character" for name, odd in found.items() if odd]


def merged(above: Mapping[str, str], answer: Mapping[str, str]) -> dict[str, str]:
    """Return an answer with what the levels above answered: an empty value replaces nothing.

    Examples
    --------
    >>> merged({"StudyInstanceUID": "1.2"}, {"StudyInstanceUID": "", "SeriesInstanceUID": "1.2.1"})
    {'StudyInstanceUID': '1.2', 'SeriesInstanceUID': '1.2.1'}
    """
    return {**answer, **above, **{name: value for name, value in answer.items() if not is_blank(value)}}
