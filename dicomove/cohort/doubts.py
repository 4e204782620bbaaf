"""Values that may be wrong, and may be right: they are sent as they are, and a hint names them.

`doubt` is about cells that a program may have changed, `placeholder` about those that stand for an empty cell, and
`unlikely` about values that an archive hardly has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from dicomove.cohort.damage import IDENTIFIERS, first_match
from dicomove.cohort.keywords import VRS, keyword

#: A longer text is a report in the wrong column. Some patterns would take long for it.
_LONGEST: Final = 200
_FOR_EMPTY: Final = "a word that often stands for an empty cell"


def doubt(value: str, column: str) -> str | None:
    """Return why a cell may be damaged, although it may be right, or None.

    Parameters
    ----------
    value
        The cell as text, without blanks around it.
    column
        The label of its column.

    Examples
    --------
    >>> doubt("1234567890120000", "AccessionNumber"), doubt("20.240", "AccessionNumber")
    ('a long number that ends in zeros (Excel keeps 15 digits)', 'a point that may separate thousands')
    """
    if len(value) > _LONGEST:
        return None
    if column in IDENTIFIERS:
        return first_match(_DOUBTFUL_IDENTIFIER, value)
    if VRS.get(column) == "DA":
        # Archives write 19000101 for a birth date that is unknown.
        return first_match(_DOUBTFUL_DATE[:1] if column == "PatientBirthDate" else _DOUBTFUL_DATE, value)
    return first_match(_DOUBTFUL_UID, value) if VRS.get(column) == "UI" else None


def placeholder(value: str, column: str) -> str | None:
    """Say why a number of a patient or a study may stand for an empty cell, or return None.

    Studies often have the StudyID 0, and a person may have the number 99 or 999.

    Examples
    --------
    >>> placeholder("xxx", "PatientID"), placeholder("0000", "AccessionNumber"), placeholder("0", "StudyID")
    ('is a word that often stands for an empty cell', 'holds only zeros, which often stand for an empty cell', None)
    >>> placeholder("9999", "PatientID"), placeholder("999", "PatientID")
    ('holds only nines, which often stand for an empty cell', None)
    """
    if column not in IDENTIFIERS:
        return None
    if _EMPTY_WORD.fullmatch(value):
        return f"is {_FOR_EMPTY}"
    digits = "zeros" if not value.strip("0") else "nines" if _NINES.fullmatch(value) else None
    return f"holds only {digits}, which often stand for an empty cell" if digits and column != "StudyID" else None


def unlikely(value: str, column: str) -> str | None:
    """Say why an archive may not have a value in this form, or return None. A `placeholder` has its own sentence.

    Parameters
    ----------
    value
        The value of a key, as it is sent.
    column
        The keyword of the attribute.

    Examples
    --------
    >>> unlikely("NULL", "StudyDescription"), unlikely("ct", "Modality"), unlikely("CT", "Modality")
    ('a word that often stands for an empty cell', 'codes have capital letters', None)
    """
    if placeholder(value, column) or not {"*", "?"}.isdisjoint(value):
        return None
    if _is_misread(value):
        return "UTF-8 that a program has read in another encoding"
    empty = [_FOR_EMPTY] if _EMPTY_WORD.fullmatch(value) else []
    vr = VRS[column]
    if vr == "PN":  # Yok and Brak are surnames, too
        form = [] if set("^=") & set(value) else ["no ^ between the parts of the name (Doe^Jane)"]
        return ", or ".join([*empty, *form]) or None
    if empty:
        return empty[0]
    if vr == "CS":
        return _unlikely_code(value, column)
    return doubt(value, column) or (_unlikely_number(value) if column in IDENTIFIERS else None)


def _unlikely_code(value: str, column: str) -> str | None:
    if value != value.upper():
        return "codes have capital letters"
    if column == "PatientSex":
        return None if value in {"M", "F", "O"} else "the codes are M, F and O"
    if column not in {"Modality", "ModalitiesInStudy"}:
        return None
    if value in _MODALITY_OF:
        return f"the code of this modality is {_MODALITY_OF[value]}"
    return None if _MODALITY.fullmatch(value) else "a modality is a single code, such as CT"


def _unlikely_number(value: str) -> str | None:
    if "%" in value:
        return "the wildcards of C-FIND are * and ?"
    if keyword(value) and value[0].isalpha():  # 00100020 is a tag, and may be a number
        return "it is the header of a column"
    if not any(map(str.isdigit, value)):
        return "it has no digit: is it a word, and not a number?"
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


# The words of databases, statistics programs and pandas, and of people in several languages.
_EMPTY_WORD = re.compile(
    r"(?i:[(\[<]?(?:null|none|nan|na|n/a|nat|nil|void|blank|empty|leer|vide|vuoto|vacío)[)\]>]?|-nan|n\.\s?a\.|n/d|n/v|k\.\s?a\."
    r"|[-+]?inf(?:inity)?|-?1\.\#(?:inf|ind|qnan|snan)\w*|-1|-9{1,4}|[-\u2013\u2014_.]{1,3}"
    r"|unknown|unk|missing|not (?:available|known|applicable|found|done)|unbekannt|fehlt|fehlend|keine?|nicht bekannt"
    r"|inconnue?|desconocid[oa]|sconosciut[oa]|desconhecid[oa]|onbekend|okänd|ukjent|ukendt|nieznan[ya]|neznámý|bilinmiyor"
    r"|неизвестно|не указано|нет(?: данных)?|н/д|不明|不详|未知|未入力|なし|無し|該当なし|無|无|없음|미상|해당 ?없음"
    r"|undefined|pending|tb[acd]|n\.\s?d\.|n\.\s?v\.(?:\s?t\.)?|nvt|s/[dn]|keine angabe|entfällt|nicht vorhanden"
    r"|non (?:disponible|renseignée?|disponibile)|sin datos?|no (?:aplica|consta|disponible)|não (?:informado|consta)"
    r"|x{2,}|geen|saknas|puuttuu|brak(?: danych)?|není|nincs|yok|ikke (?:oppgitt|oplyst))"
)
#: Registers write as many nines as the number has digits.
_NINES: Final = re.compile(r"9{4,}")
# Words in the last line of a table.
_BELOW = re.compile(
    r"(?i:(?:grand |sub)?totals?|sum|summe|gesamt|count|anzahl|somme|nombre|suma|totale|toplam"
    r"|end of (?:report|file|data)"
    r"|(?:total|summe|gesamt|anzahl|count|sum)\s*[:=].*|\(?[0-9]+ (?:rows?|records?|zeilen|lignes|filas)\b.*)"
)
_SHORT_MONTH = r"(?i:jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)"
_MONTH = rf"{_SHORT_MONTH}\w{{0,6}}"
_SEVERAL = re.compile(
    r"[^,;|]*[0-9][^,;|]*(?:[,;|][^,;|]*[0-9][^,;|]*)+"
    r"|.*[0-9]\S*\s+(?:[/&+]|and|or|und|oder|et|ou|y|o|e|en|och|og|i|ve)\s+\S*[0-9].*"
)
_ENCODED = re.compile(r".*&(?:amp|lt|gt|quot|apos|nbsp|\#x?[0-9a-fA-F]+);.*|.*%[2-7][0-9A-F].*", re.DOTALL)
_DOUBTFUL_IDENTIFIER = (
    # Excel keeps 15 digits of a number, and writes zeros for the others.
    (
        "a long number that ends in zeros (Excel keeps 15 digits)",
        re.compile(r"(?=[0-9]{16})[0-9]{1,15}0{4,}"),
    ),
    (_FOR_EMPTY, _EMPTY_WORD),
    ("a word that often stands below a table", _BELOW),
    ("a line of dashes, which often stands below a header", re.compile(r":?[-=]{4,}:?")),
    ("decimals that a program may have added", re.compile(r"[-+]?[0-9]+[.,]00+")),
    (
        "what a program writes for an object",
        re.compile(r"(?:[\w.]+\.)?(?:array|Decimal|Timestamp|date|datetime|UUID|str_|u?int\d*|float\d*)\(.*\)"),
    ),
    ("several values in one cell", _SEVERAL),
    ("the issuer behind an HL7 identifier", re.compile(r"[^^]+\^\^.*")),
    ("characters that were encoded for a web page", _ENCODED),
    ("a point that may separate thousands", re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")),
    ("a blank that may separate thousands", re.compile(r"[1-9][0-9]{0,2}[ ][0-9]{3}")),
    (
        "possibly changed into a date by a spreadsheet",
        re.compile(
            rf"(?:[0-9]{{1,2}}[-. ]+{_MONTH}\.?(?:[-. ]+[0-9]{{2,4}})?|{_MONTH}[-. ]+[0-9]{{2,4}}"
            rf"|[0-9]{{1,2}}{_SHORT_MONTH}(?:19|20)[0-9]{{2}}"  # SAS
            r"|(?:0?[1-9]|[12][0-9]|3[01])([./])(?:0?[1-9]|[12][0-9]|3[01])\1(?:[0-9]{2}|(?:19|20)[0-9]{2})"
            r"|1(?:899|900)-[0-9]{2}-[0-9]{2}|(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?=[T ]))"
            r"(?:[T: ]+[0-9]{1,2}:[0-9]{2}.*)?"
        ),
    ),
)
_DOUBTFUL_DATE = (
    (
        "a year that is hardly meant (another calendar?)",
        re.compile(r"(?:0[0-9]|1[0-7]|2[3-9]|[3-9][0-9])[0-9]{2}-?[0-9]{2}-?[0-9]{2}"),
    ),
    ("the first days that a spreadsheet can count", re.compile(r"1899-?12-?[0-9]{2}|1900-?0[12]-?[0-9]{2}")),
)
_DOUBTFUL_UID = (
    (_FOR_EMPTY, _EMPTY_WORD),
    ("commas in the place of points", re.compile(r"[0-9]+(?:,[0-9]+){3,}")),
    ("too short for a UID", re.compile(r"[^.]*\.?[^.]*")),
)

_MODALITY: Final = re.compile(r"[A-Z0-9]{2,8}")
#: What people write for the code of a modality.
_MODALITY_OF: Final[Mapping[str, str]] = {
    **dict.fromkeys(("MRI", "MRT", "IRM", "RM", "RMN"), "MR"),
    **dict.fromkeys(("CAT", "TC", "TDM"), "CT"),
    **dict.fromkeys(("PET", "TEP"), "PT"),
    **dict.fromkeys(("XR", "XRAY", "RX"), "CR or DX"),
}
_NAMED: Final = re.compile(r"(?i)(?:#|(?:nr|no|num|id|pid|mrn|acc|accession)[.:# ]+)\s*\S*[0-9].*")
_BRACKETS: Final = re.compile(r".*\(.*\)")
