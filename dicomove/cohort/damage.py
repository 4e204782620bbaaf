"""Cells that were damaged before dicomove read them: they do not hold the value that a person saw or meant.

It is certain enough to refuse the cell as a key; `dicomove.cohort.doubts` has what may be right.
"""

from __future__ import annotations

import re

from dicomove.cohort.keywords import VRS

IDENTIFIERS = frozenset({"PatientID", "AccessionNumber", "StudyID"})
"""The keys whose values look like numbers. Spreadsheets store them as numbers."""

SHORT_LINE = "#SHORT_LINE!"
"""dicomove adds this mark to each key of a line with too few fields, and fills the absent fields with it."""
UNKNOWN_CELL = "#UNKNOWN!"
"""The text for a cell that may be empty or may have held a value."""

Patterns = tuple[tuple[str, re.Pattern[str]], ...]


def damage(value: str, column: str) -> str | None:
    """Return the damage of a cell in plain words, or None.

    Parameters
    ----------
    value
        The cell as text, without blanks around it.
    column
        The label of its column. The rules depend on it: ``1.234.567`` is a damaged PatientID, but may be the beginning
        of a UID.

    Examples
    --------
    >>> damage("#REF!", "AccessionNumber"), damage("1.23457E+19", "PatientID")
    ('an error of a spreadsheet', 'scientific notation')
    >>> damage("1.234.567", "PatientID"), damage("1.234.567", "StudyInstanceUID"), damage("0001E5", "AccessionNumber")
    ('thousands separators', None, None)
    """
    return first_match(_certain(column), value)


def first_match(patterns: Patterns, value: str) -> str | None:
    """Return the name of the first pattern that the whole value has, or None."""
    return next((name for name, pattern in patterns if pattern.fullmatch(value)), None)


def _certain(column: str) -> Patterns:
    vr = VRS.get(column)
    if column in IDENTIFIERS:
        return (*_ANYWHERE, *_KEY, *_NUMBER, *_IDENTIFIER)
    if vr == "DA":
        return (*_ANYWHERE, *_KEY, *_NUMBER, *_DATE)
    if vr == "UI":
        return (*_ANYWHERE, *_KEY)
    return _ANYWHERE if vr in {"PN", None} else (*_ANYWHERE, *_KEY[:1])


# Errors of Excel, LibreOffice and Google Sheets, in any language: #REF!, #WERT!, #¿NOMBRE?, #DIV/0!, Err:502. The words
# without a mark at their end mean "not available" in English, German, Spanish, Dutch, Danish, Hungarian, Turkish,
# Russian.
_ERROR_WORD = (
    r"#[¡¿]?[^\W\d][\w/.]*[!?]"
    r"|(?i:#(?:n/?a(?: n/a)?|err(?:or)?|n/?v|n/?d|n/?b|i/t|yok|saknas|hiányzik|н/д|getting_data|daten_abrufen)[!.]?)"
    r"|(?i:err|error|erreur|fehler):[0-9]{3}"
)
# A name, or a remark, may begin with an equals sign ("=山田^太郎" is a name in one script).
_FORMULA = r"""\{?=[ ]*[-+@]?(?:"[^"]*"?|\$?[A-Za-z]{1,3}\$?[0-9]+|[\w.]+[(!\[]|'[^']+'!|[0-9]+[-+*/&]|\().*"""

_ANYWHERE = (
    ("its line has too few fields", re.compile(rf".*{SHORT_LINE}", re.DOTALL)),
    ("either empty or an error of the spreadsheet: save the file as .xlsx", re.compile(UNKNOWN_CELL)),
    ("an error of a spreadsheet", re.compile(_ERROR_WORD)),
    ("#### in the place of a value (a column that was too narrow?)", re.compile(r"\#{2,}")),
    ('a formula (="...")', re.compile(_FORMULA, re.DOTALL)),
    ("a character that another program could not read", re.compile(r".*\ufffd.*", re.DOTALL)),
)

# Excel writes a plus, and people do not: 0001E5 is an accession number. Java and SAS write decimals instead of a plus.
_SCIENTIFIC = (
    r"[-+]?[0-9]+(?:[.,][0-9]*)?[ ]?[eE]\+[ ]?[0-9]+"
    r"|[-+]?[0-9]{1,3}[.,][0-9]+[ ]?[eE]-?[0-9]{1,3}"
    r"|[-+]?[0-9]+(?:[.,][0-9]+)?[ ]?[xX\u00d7*·⋅][ ]?10(?:\^\+?[0-9]+|[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
)
_KEY = (
    ('a formula (="...")', re.compile(r"\{?=.*", re.DOTALL)),
    ("#### in the place of a value (a column that was too narrow?)", re.compile(r"\#+")),
    ("scientific notation", re.compile(_SCIENTIFIC)),
    ("a leading apostrophe", re.compile(r"['\u2019\u2018`\u00b4].*", re.DOTALL)),
    ("quotation marks around it", re.compile(r'["“”„«»].*["“”„«»]', re.DOTALL)),
    ("its end was cut off (...)", re.compile(r".*(?:…|\.\.\.)", re.DOTALL)),
    ("the mark of a database for an empty cell", re.compile(r"\\N")),
)

# A number in groups never begins with a zero. Identifiers contain points and blanks, but not the other separators.
_GROUPS = (
    r"[-+]?[1-9][0-9]{0,2}(?:(?:\.[0-9]{3}){2,}(?:,[0-9]+)?|(?:[ ][0-9]{3}){2,}(?:[.,][0-9]+)?)"
    r"|[-+]?[0-9]{1,3}(?:(?:,[0-9]{3})+(?:\.[0-9]+)?|(?:\.[0-9]{3})+,[0-9]+)"
    r"|[-+]?[0-9]{1,3}(?:['\u2019\u2018\u02bc\u00b4`\u00a0\u2007\u2009\u202f٬][0-9]{3})+(?:[.,][0-9]+)?"
    r"|[-+]?[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"
)
_NUMBER = (
    ("thousands separators", re.compile(_GROUPS)),
    ("the .0 of a number", re.compile(r"[-+]?[0-9]+[.,]0")),
    ("a percentage, or an amount of money", re.compile(r"[$€£][ ]?[0-9.,]+|[0-9.,]+\s?[%$€£]")),
)
_IDENTIFIER = (
    # A date alone may be an identifier. A program that stored it as a date adds a time.
    ("a date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?")),
    ("a time", re.compile(r"(?:[0-9]+ days?,? )?[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?")),
    ("a list, or another structure of a program", re.compile(r"\[.*\]|\{.*\}|\(.*,\)|b(['\"]).*\1", re.DOTALL)),
    ("a truth value", re.compile(r"(?i:true|false|wahr|falsch|vrai|faux|verdadero|falso)")),
)
_DATE = (("a date as the number of its day", re.compile(r"[0-9]{5}(?:[.,][0-9]+)?")),)
