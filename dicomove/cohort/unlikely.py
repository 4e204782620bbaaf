"""Explains why an archive may not have a value in this form, if a search matched nothing. Pure.

dicomove sends such a value unchanged, because an archive may have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dicomove.cohort.damage import IDENTIFIERS, doubt, stands_for_empty
from dicomove.cohort.keywords import VRS
from dicomove.cohort.likeness import odd_in
from dicomove.cohort.matching import has_wildcard

_MODALITY: Final = re.compile(r"[A-Z0-9]{2,8}")
_NAMED: Final = re.compile(r"(?i)(?:#|(?:nr|no|num|id|pid|mrn|acc|accession)[.:# ]+)\s*\S*[0-9].*")
_BRACKETS: Final = re.compile(r".*\(.*\)")


def unlikely_values(keys: Iterable[tuple[str, str]]) -> list[str]:
    r"""Return a sentence for each key that may be wrong, after a search that matched nothing.

    Examples
    --------
    >>> unlikely_values([("AccessionNumber", "\u041012"), ("PatientName", "Doe, Jane"), ("Modality", "CT")])
    ['AccessionNumber holds U+0410 CYRILLIC CAPITAL LETTER A, which looks like another character',
     'PatientName may have another form in the PACS: no ^ between the parts of the name (Doe^Jane)']
    """
    sentences = []
    for name, value in keys:
        odd = odd_in(value)
        # The query already has a note about an identifier that is such a word.
        why = None if name in IDENTIFIERS and stands_for_empty(value) else unlikely(value, name)
        if odd:
            sentences.append(f"{name} holds {', '.join(odd)}, which looks like another character")
        if why:
            sentences.append(f"{name} may have another form in the PACS: {why}")
    return sentences


def unlikely(value: str, column: str) -> str | None:
    """Say why an archive may not have a value in this form, or return None.

    Parameters
    ----------
    value
        The value of a key, as it is sent.
    column
        The keyword of the attribute.

    Examples
    --------
    >>> unlikely("NULL", "PatientID"), unlikely("ct", "Modality"), unlikely("CT", "Modality")
    ('a word that often stands for an empty cell', 'codes have capital letters', None)
    """
    if has_wildcard(value):
        return None
    if stands_for_empty(value):
        return "a word that often stands for an empty cell"
    if _is_misread(value):
        return "UTF-8 that a program has read in another encoding"
    vr = VRS[column]
    if vr == "CS":
        return _unlikely_code(value, column)
    if vr == "PN":
        return None if set("^=") & set(value) else "no ^ between the parts of the name (Doe^Jane)"
    return doubt(value, column) or (_unlikely_number(value) if column in IDENTIFIERS else None)


def _unlikely_code(value: str, column: str) -> str | None:
    if value != value.upper():
        return "codes have capital letters"
    if column == "PatientSex":
        return None if value in {"M", "F", "O"} else "the codes are M, F and O"
    if column in {"Modality", "ModalitiesInStudy"} and not _MODALITY.fullmatch(value):
        return "a modality is a single code, such as CT"
    return None


def _unlikely_number(value: str) -> str | None:
    if "%" in value:
        return "the wildcards of C-FIND are * and ?"
    if value.strip("0") == "":
        return "it holds only zeros"
    if _NAMED.fullmatch(value):
        return "there is a word before the number"
    return "there is a remark in brackets" if _BRACKETS.fullmatch(value) else None


def _is_misread(value: str) -> bool:
    if value.isascii():
        return False
    for encoding in ("cp1252", "latin-1"):
        try:
            value.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False
