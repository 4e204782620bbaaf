"""The columns of a table: the checks that need no row, and headers that look like identifiers but are not understood.

dicomove never guesses the meaning of such a header: the user states it (``read_cohort(path, columns=...)``). The error
lists the headers, each with the keyword that it resembles.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove.cohort.keywords import (
    LEVELS,
    QUERY_MODELS,
    UNIQUE_KEYS,
    VRS,
    Level,
    QueryModel,
    keyword,
    keyword_columns,
    label_text,
)
from dicomove.cohort.likeness import without_accents, without_invisible
from dicomove.cohort.values import EDGES, is_blank, is_number
from dicomove.errors import CohortError, IdentifierError

#: Words for numbers and identifiers that follow a noun, as in "patient number".
_NUMBER: Final = r"(id|ident\w*|no|nr|num|nums|number|nummer|numero|kennung|kennziffer|code|codigo)"
#: The same before a noun, in French, Spanish, Italian and Portuguese, as in "numero de patient".
_NUMBER_OF: Final = r"(id|no|nr|n|num|numero|ident\w*)(de?)?(l|la)?"
_STUDY: Final = r"(stud|etude|estudio|exam|untersuchung)"
_ORDER: Final = r"(auftrag|anforderung|untersuchung|leistung|order|request|requisition|exam\w*|procedure|befund)"
_ORDER_OF: Final = r"(examen|demande|etude|estudio|peticion|solicitud|orden|esame|richiesta)"
_PATIENT: Final = r"(patient(en|s|e)?|pat|paciente?|paziente|subject|person|case|fall|hospital|hosp|klinik|nhs|cpr)"
#: Without accents, blanks and punctuation; first English, German, French, Spanish, Italian and Portuguese.
_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("SOPInstanceUID", r"(sop|image|bild|imagen|instance|instanz)\w*(uid|oid)"),
    ("SeriesInstanceUID", r"seri\w*(uid|oid)"),
    ("StudyInstanceUID", rf"{_STUDY}\w*(uid|oid)|(uid|oid)(de)?(l|la)?{_STUDY}|dicom(uid|oid|id)"),
    ("AccessionNumber", r"ac+es+ion|akzession|accesion|ac+es+o\b|numerod?e?acces"),
    ("AccessionNumber", rf"{_ORDER}s?{_NUMBER}|{_NUMBER_OF}{_ORDER_OF}"),
    ("AccessionNumber", r"auftrag|anforderungsn|peticion|requisition|risid|risn(r|o|um)"),
    ("PatientID", rf"{_PATIENT}{_NUMBER}|{_NUMBER_OF}(patient|pat|paciente|paziente|dossier|sujet|historia)"),
    ("PatientID", r"medicalrecord|krankenblatt|krankenakte|historiaclinica|numerohistoria|dossier|mrn"),
    ("PatientName", r"patient\w*name|(nach|vor|familien)name|(sur|last|first|family|given)name"),
    ("PatientName", r"prenom|apellidos?|cognome"),
    ("StudyID", rf"(study|studien|studie|etude|estudio){_NUMBER}"),
    # Dutch, the Nordic languages, Polish, Czech, Turkish.
    ("AccessionNumber", r"accessie|begleitn|zugangsn|(onderzoeks|aanvraag|remiss|lahete|pyynto)(nummer|numero|nr|id)"),
    ("AccessionNumber", r"(rekvisi[ts]i?j?on|henvisning|under(sog|sok)(else|nings?))s?(nummer|nr|id)|tutkimusnumero"),
    ("AccessionNumber", r"(numer|nr|cislo)(zlecenia|badania|skierowania|zadanky|vysetreni)"),
    ("AccessionNumber", r"(erisim|istem|tetkik)(no|numarasi)"),
    ("PatientID", r"(pasient|potilas|henkilo|person|fodsels|journal)(nummer|numero|tunnus|nr|id)|rodnecislo|pesel"),
    ("PatientID", r"(numer|id|cislo)(pacjenta|pacienta)|(hasta|dosya)(no|numarasi|id)|codicefiscale|uhid"),
    ("PatientID", r"^(mr|chart|unit|ur|medrec)(no|nr|num|number)$"),
    # Japanese, Chinese, Korean, Russian, Greek, Hebrew, Arabic, Persian.
    ("AccessionNumber", r"(受付|オーダー?|依頼|検査|アクセッション)(番号|no|id)|(접수|검사|오더|처방)번호"),
    ("AccessionNumber", r"(登录|登記|登记|检查|檢查|影像|申请单?|申請單?)[编編]?[号號]"),
    ("AccessionNumber", r"номер(исследования|направления|заказа|заявки)|αριθμοσ(εξετασησ|παραγγελιασ)"),
    ("AccessionNumber", r"מספר(בדיקה|הזמנה|הפניה)|رقم(الوصول|الدخول|الطلب|الفحص)|شماره(پذیرش|درخواست)|کدپذیرش"),
    ("PatientID", r"(患者|カルテ|診察券)(番号|no|id)|(病历|病歷|病案|患者|病人|住院|门诊|門診)([编編]?[号號]|id)"),
    ("PatientID", r"(환자|병록|차트)(번호|id)|(номер|код|id)(пациента|карты|историиболезни)"),
    ("PatientID", r"(αριθμοσ|κωδικοσ|id)ασθεν|מספר(מטופל|זהות)|תעודתזהות|رقم(المريض|الملف)"),
    ("PatientID", r"شماره(پرونده|بیمار)|کد(ملی|بیمار)"),
    ("PatientName", r"氏名|患者名|姓名|환자명|성명|^фио$|фамилия|اسمالمريض|نامبیمار|שםמטופל"),
)
_OWN: Final = "dicomove_own_columns"
_PATTERNS: Final = tuple((name, re.compile(pattern)) for name, pattern in _WORDS)
#: Short words, which mean something only as the whole header.
_ALONE: Final = {
    **dict.fromkeys(("acc", "acn", "acsn", "an"), "AccessionNumber"),
    **dict.fromkeys(("pid", "pat", "patient", "paciente", "paziente", "subject"), "PatientID"),
    **dict.fromkeys(("ipp", "nip", "nhc", "piz"), "PatientID"),
    **dict.fromkeys(("name", "nom", "nombre", "nome"), "PatientName"),
    **dict.fromkeys(("uid", "oid"), "StudyInstanceUID"),
}
#: A pseudonym names a patient in the study, not in the PACS.
_PSEUDONYM: Final = re.compile(r"anon|pseudo|hash|encrypt")
#: Words that number the participants of a study about as often as the patients of a PACS.
_PARTICIPANT: Final = re.compile(r"subject|person|case|fall")
#: A label that looks like a value: in a file without a header, the first row may name a patient.
_VALUE: Final = re.compile(r"\d{4}|\^|^[\d.\-/ ]+$")


def check_table(table: object) -> None:
    """Check that a table is a DataFrame.

    Raises
    ------
    CohortError
        The argument is not a DataFrame.
    """
    if not isinstance(table, pd.DataFrame):
        msg = f"give a pandas DataFrame, not a {type(table).__name__}: {_as_table(table)}"
        raise CohortError(msg)


def check_query(query: object) -> None:
    """Check that the keys of one query have names.

    Raises
    ------
    IdentifierError
        The argument is not a mapping, but a UID alone, or a row of a table.
    """
    if not isinstance(query, Mapping):
        hint = "; row.to_dict() makes them of a row" if isinstance(query, pd.Series) else ""
        msg = f"give the keys with their names, as {{'StudyInstanceUID': uid}}, not a {type(query).__name__}{hint}"
        raise IdentifierError(msg)


def _as_table(table: object) -> str:
    """Return a hint how to make a table from the argument, without a quotation, which might name patients."""
    if isinstance(table, str | os.PathLike):
        return "read_cohort(path) reads a file, and pd.DataFrame({'StudyInstanceUID': [uid]}) is a table of one UID"
    if isinstance(table, pd.Series):
        return "for a column, write table[['PatientID']] or .to_frame(); for a row, table.loc[[label]]"
    if isinstance(table, Mapping) or (isinstance(table, Sequence) and table and isinstance(table[0], Mapping)):
        return "write pd.DataFrame(...) around it"
    if hasattr(table, "to_pandas"):
        return ".to_pandas() makes one of a polars or Arrow table"
    if isinstance(table, Iterable):
        return "write pd.DataFrame({'StudyInstanceUID': list_of_uids}), with the name of the key in place of it"
    return "the table comes first"


def check_arguments(table: object, level: str | None, query_model: str) -> tuple[Level | None, QueryModel]:
    """Return the level and the query model, after a check that the table is a DataFrame.

    Raises
    ------
    CohortError
        One of the arguments is invalid.
    """
    check_table(table)
    try:
        model = parse_query_model(query_model)
        return None if level is None else parse_level(level, model), model
    except IdentifierError as error:
        raise CohortError(str(error)) from None


def parse_query_model(value: object) -> QueryModel:
    """Return the named query model.

    Raises
    ------
    IdentifierError
        There is no such model.
    """
    for model in QUERY_MODELS:
        if value == model:
            return model
    msg = f"query_model is one of {', '.join(QUERY_MODELS)}"
    raise IdentifierError(msg)


def parse_level(value: object, query_model: QueryModel) -> Level:
    """Return the named level, in upper or lower case, even with blanks around it.

    Raises
    ------
    IdentifierError
        There is no such level, or the model does not have it.

    Examples
    --------
    >>> parse_level(" study", "StudyRoot")
    'STUDY'
    """
    word = value.strip(EDGES).upper() if isinstance(value, str) else None
    level = next((level for level in LEVELS if level == word), None)
    if level is None:
        hint = " (an instance is retrieved at the level IMAGE)" if word == "INSTANCE" else ""
        msg = f"the query level is one of {', '.join(LEVELS)}{hint}"
        raise IdentifierError(msg, column="QueryRetrieveLevel")
    if level not in UNIQUE_KEYS[query_model]:
        msg = f'{query_model} has no level {level}: use query_model="PatientRoot"'
        raise IdentifierError(msg, column="QueryRetrieveLevel")
    return level


def columns_of(table: pd.DataFrame, wanted: Collection[str]) -> dict[str, list[object]]:
    """Return the cells of the wanted columns, by keyword. The table does not change.

    Raises
    ------
    CohortError
        Two columns are the same attribute, or a column of identifiers holds numbers.
    """
    positions = keyword_columns(table.columns, wanted)
    columns = {name: table.iloc[:, position].tolist() for name, position in positions.items()}
    _refuse_numbers(columns)
    return columns


def index_hint(table: pd.DataFrame, wanted: Collection[str]) -> str:
    """Return a sentence for a table that has the key as its index instead of a column; empty otherwise."""
    names = sorted({name for name in map(keyword, table.index.names) if name is not None and name in wanted})
    return f" {', '.join(names)} is the index: table.reset_index() makes it a column." if names else ""


def _refuse_numbers(columns: Mapping[str, list[object]]) -> None:
    for name, cells in columns.items():
        if name != "QueryRetrieveLevel" and VRS[name] != "IS" and _all_numbers(cells):
            msg = (
                f"the column {name} holds numbers, but identifiers are text, and a number has lost its leading zeros: "
                "read the table with dtype=str, or with dicomove.read_cohort"
            )
            raise CohortError(msg)


def _all_numbers(cells: list[object]) -> bool:
    filled = (cell for cell in cells if not is_blank(cell))
    return is_number(next(filled, None)) and all(map(is_number, filled))


def _resembles(header: object) -> str | None:
    """Return the keyword of the identifier that a header looks like, or None.

    Parameters
    ----------
    header
        The label of a column that `keyword` does not know.

    Examples
    --------
    >>> _resembles("Auftragsnummer"), _resembles("N° d'examen"), _resembles("Accession Number (RIS)"), _resembles("arm")
    ('AccessionNumber', 'AccessionNumber', 'AccessionNumber', None)
    """
    label = label_text(header)
    if label is None or keyword(header) is not None:
        return None
    words = _words(label)
    compact = "".join(words)
    if _PSEUDONYM.search(compact):
        return None
    found = next((name for name, pattern in _PATTERNS if pattern.search(compact)), None)
    return found or next((_ALONE[word] for word in words if word in _ALONE and len(words) <= 2), None)


def overlooked_headers(headers: Iterable[object], wanted: Collection[str]) -> list[tuple[object, str]]:
    """Return the headers that look like a wanted attribute but are not understood, each with its keyword."""
    found = ((header, _resembles(header)) for header in headers)
    return [(header, name) for header, name in found if name is not None and name in wanted]


def may_number_participants(header: object) -> bool:
    """Tell whether a column may number the participants of a study, and not the patients of a PACS.

    Examples
    --------
    >>> may_number_participants("subject"), may_number_participants("Patienten-ID")
    (True, False)
    """
    return _PARTICIPANT.match("".join(_words(label_text(header) or ""))) is not None


def with_own_columns(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return the table with a mark on columns that the caller uses for another purpose than the search."""
    marked = table.copy(deep=False)
    marked.attrs[_OWN] = [*names]
    return marked


def without_mark(table: pd.DataFrame) -> pd.DataFrame:
    """Remove the mark of `with_own_columns`, and return the table."""
    table.attrs.pop(_OWN, None)
    return table


def own_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns that `with_own_columns` marked."""
    return list(table.attrs.get(_OWN, ()))


def listed_headers(headers: Iterable[object]) -> str:
    """Return headers as text for a message; hide one that looks like a value, because it may belong to a patient."""
    return ", ".join(map(shown_header, headers)) or "none"


def shown_header(header: object) -> str:
    """Return a header as text for a message."""
    label = header if isinstance(header, str) else str(header)
    return "'...' (looks like a value)" if _VALUE.search(label) else repr(label)


def header_hint(found: Sequence[tuple[object, str]]) -> str:
    """Return a sentence about overlooked headers, with the remedy; empty if there are none."""
    if not found:
        return ""
    named = ", ".join(f"{shown_header(header)} ({name}?)" for header, name in found)
    header, name = found[0]
    return (
        f" These headers look like identifiers, but were not understood: {named}. Rename them, or say what they are: "
        f"read_cohort(path, columns={{{shown_header(header)}: '{name}'}})."
    )


def _words(label: str) -> list[str]:
    plain = without_accents(unicodedata.normalize("NFKC", without_invisible(label)))
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).casefold())
