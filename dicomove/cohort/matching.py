"""Whether the values of an answer match the matching keys that were sent (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from dicomove.cohort.key_values import DATE, WHOLE, has_wildcard
from dicomove.cohort.keywords import VRS
from dicomove.cohort.likeness import difference, plain
from dicomove.cohort.values import is_blank


def matches(keys: Sequence[tuple[str, str]], answer: Mapping[str, object]) -> bool:
    """Tell whether an answer matches the keys.

    A PACS may ignore a key that it does not support, and send answers that do not match.

    Parameters
    ----------
    keys
        The matching keys, as pairs of keyword and value.
    answer
        The values of the answer, by keyword. A value that is absent or blank cannot be checked, and counts as a match.

    Examples
    --------
    >>> matches([("PatientName", "doe*"), ("StudyDate", "20240101-")], {"PatientName": "DOE^JANE^", "StudyDate": ""})
    True
    >>> matches([("AccessionNumber", "A1")], {"AccessionNumber": "A12"})
    False
    """
    return not contradictions(keys, answer)


def different(answers: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return each answer once, because an archive that joins two databases may return it twice.

    Examples
    --------
    >>> different([{"Modality": "CT"}, {"Modality": "MR"}, {"Modality": "CT"}])
    [{'Modality': 'CT'}, {'Modality': 'MR'}]
    """
    return list({tuple(answer.items()): answer for answer in answers}.values())


def contradictions(keys: Sequence[tuple[str, str]], answer: Mapping[str, object]) -> list[str]:
    """Return the keywords of the keys that an answer contradicts; for the arguments, see `matches`.

    Examples
    --------
    >>> contradictions([("AccessionNumber", "A1"), ("Modality", "CT")], {"AccessionNumber": "A12", "Modality": "CT"})
    ['AccessionNumber']
    """
    return [name for name, asked in keys if not is_blank(asked) and not _matches(name, asked, answer.get(name))]


def only_difference(keys: Sequence[tuple[str, str]], answer: Mapping[str, object]) -> str | None:
    """Say how an answer differs from the keys that it contradicts, if both are look-alikes.

    Examples
    --------
    >>> only_difference([("AccessionNumber", "00123")], {"AccessionNumber": "123"})
    'leading zeros (AccessionNumber)'
    >>> only_difference([("AccessionNumber", "00123")], {"AccessionNumber": "999"}) is None
    True
    """
    wrong = contradictions(keys, answer)
    asked = dict(keys)
    found = [(name, _difference(asked[name], answer.get(name))) for name in wrong]
    if not found or not all(difference for _, difference in found):
        return None
    return ", ".join(f"{difference} ({name})" for name, difference in found)


def _difference(asked: str, answered: object) -> str | None:
    return next((found for value in _values(answered) if (found := difference(asked, value))), None)


def _matches(name: str, asked: str, answered: object) -> bool:
    match = _MATCH.get(VRS[name], _match_text)
    values = [value for value in _values(answered) if value]
    return not values or any(match(asked, value) for value in values)


def _values(answered: object) -> list[str]:
    if is_blank(answered):
        return []
    # pydicom's MultiValue is a sequence, and not a list.
    parts = answered if isinstance(answered, Sequence) and not isinstance(answered, str) else str(answered).split("\\")
    return ["" if is_blank(part) else plain(str(part)) for part in parts]


def _match_uid(asked: str, value: str) -> bool:
    return value in asked.split("\\")


def _match_date(asked: str, value: str) -> bool:
    date = value.replace("-", "").replace(".", "")[:8]
    begin, hyphen, end = asked.partition("-")
    return not DATE.fullmatch(date) or begin <= date <= (end or (date if hyphen else begin))


def _match_time(asked: str, value: str) -> bool:
    begin, hyphen, end = asked.replace(".", "").partition("-")
    time = value.replace(":", "").replace(".", "").ljust(12, "0")
    # "1030" is the whole minute.
    return begin <= time <= (end or (time if hyphen else begin)).ljust(12, "9")


def _match_date_time(asked: str, value: str) -> bool:
    # Accept every answer to a range, or to a value with a zone: only the archive knows the zone of its other values.
    return not {"-", "+"}.isdisjoint(asked) or value.startswith(asked) or _match_text(asked, value)


def _match_whole(asked: str, value: str) -> bool:
    return not WHOLE.fullmatch(value) or int(asked) == int(value)


def _match_decimal(asked: str, value: str) -> bool:
    try:
        return float(asked) == float(value)
    except ValueError:
        return _match_text(asked, value)


def _match_name(asked: str, value: str) -> bool:
    # A name may have three scripts, "YAMADA^TARO=山田^太郎", and the row may name any of them.
    name, plain = _plain_name(asked), _plain_name(value)
    return any(_match_text(name, candidate) for candidate in (plain, *plain.split("=")))


def _plain_name(name: str) -> str:
    return re.sub(r"[\s^]+(?==|$)", "", re.sub(r"\s*\^\s*", "^", name)).rstrip("=").casefold()


def _match_text(asked: str, value: str) -> bool:
    return _match_exactly(asked, value) or (not asked.isascii() and _match_other_letters(asked, value))


def _match_other_letters(asked: str, value: str) -> bool:
    """Tell whether a value matches but for letters that an archive with one character set drops or replaces.

    Orthanc is such an archive. A wildcard beside the few letters that remain would match other persons.
    """
    left, shown = _NOT_ASCII.sub("", asked), re.sub(_REPLACED, "", value)
    is_narrow = not has_wildcard(left) or sum(map(str.isalnum, left)) >= _FEWEST_LETTERS
    has_no_other = set(shown) <= set(asked) | set(filter(str.isascii, shown))
    return is_narrow and has_no_other and _match_exactly(left, _NOT_ASCII.sub("", shown))


def _match_exactly(asked: str, value: str) -> bool:
    if not has_wildcard(asked):
        return plain(asked) == plain(value)
    # One "*" matches the same as several, without backtracking.
    parts = re.split(r"(\*+|\?)", plain(asked))
    pattern = "".join("." if part == "?" else ".*" if part[:1] == "*" else re.escape(part) for part in parts)
    return re.fullmatch(pattern, value, re.DOTALL) is not None


_REPLACED = r"[?\ufffd]"
#: "Mü*" without its "ü" is "M*".
_FEWEST_LETTERS = 3
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_MATCH = {
    "UI": _match_uid,
    "DA": _match_date,
    "TM": _match_time,
    "DT": _match_date_time,
    "IS": _match_whole,
    **dict.fromkeys(("DS", "FL", "FD"), _match_decimal),
    "PN": _match_name,
}
