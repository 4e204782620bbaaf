from __future__ import annotations

import datetime as dt
import pickle
import time

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.uid import UID

from dicomove.cohort import (
    LEVELS,
    UNIQUE_KEYS,
    Identifier,
    QueryModel,
    Unmatched,
    move_identifier,
    move_identifiers,
    on_coarser_rows,
)
from dicomove.cohort.values import is_uid
from dicomove.errors import CohortError, IdentifierError

STUDY, SERIES, SOP, PATIENT = "1.2.3", "1.2.3.4", "1.2.3.4.5", "SECRET-007"
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
FULL = {
    "PatientID": PATIENT,
    "StudyInstanceUID": STUDY,
    "SeriesInstanceUID": SERIES,
    "SOPInstanceUID": SOP,
    "AccessionNumber": "SECRET-ACC",
    "PatientName": "SECRET^NAME",
}


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns)


def only(table: pd.DataFrame, level: str | None = None, query_model: str = "StudyRoot") -> Identifier | IdentifierError:
    (found,) = move_identifiers(table, level, query_model)
    assert not isinstance(found, Unmatched)
    return found


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        ("StudyRoot", "STUDY", ["StudyInstanceUID"]),
        ("StudyRoot", "SERIES", ["StudyInstanceUID", "SeriesInstanceUID"]),
        ("StudyRoot", "IMAGE", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]),
        ("PatientRoot", "PATIENT", ["PatientID"]),
        ("PatientRoot", "STUDY", ["PatientID", "StudyInstanceUID"]),
        ("PatientRoot", "SERIES", ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]),
        ("PatientRoot", "IMAGE", ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]),
    ],
)
def test_the_level_and_its_unique_keys_and_nothing_else(model: str, level: str, keys: list[str]) -> None:
    expected = tuple((name, FULL[name]) for name in keys)
    for found in (
        move_identifier(FULL, model, level),
        move_identifier({**FULL, "QueryRetrieveLevel": level}, model),
        only(pd.DataFrame([FULL]), level, model),
        only(pd.DataFrame([{**FULL, "QueryRetrieveLevel": f" {level.lower()}\0 "}]), None, model),
    ):
        assert isinstance(found, Identifier)
        assert (found.level, found.query_model, found.keys) == (level, model, expected)


@pytest.mark.parametrize(
    ("query", "level"),
    [
        ({"StudyInstanceUID": STUDY}, "STUDY"),
        ({"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}, "SERIES"),
        ({"StudyInstanceUID": STUDY, "SeriesInstanceUID": " ", "SOPInstanceUID": None}, "STUDY"),
        ({**FULL}, "IMAGE"),
        ({**FULL, "QueryRetrieveLevel": "STUDY"}, "STUDY"),
        ({**FULL, "QueryRetrieveLevel": ""}, "IMAGE"),
    ],
)
def test_without_a_level_the_deepest_key_decides(query: dict[str, object], level: str) -> None:
    assert move_identifier(query).level == level
    found = only(pd.DataFrame([query]))
    assert isinstance(found, Identifier)
    assert found.level == level


def test_the_level_that_is_asked_for_goes_before_the_one_of_the_row() -> None:
    assert move_identifier({**FULL, "QueryRetrieveLevel": "IMAGE"}, level="STUDY").level == "STUDY"
    assert move_identifier({**FULL, "QueryRetrieveLevel": "nonsense"}, level="STUDY").level == "STUDY"


def test_tags_and_aliases() -> None:
    query = {"0020000D": UID(STUDY), "(0008,0052)": "SERIES", "series uid": f"{SERIES}\0"}
    assert move_identifier(query).keys == (("StudyInstanceUID", STUDY), ("SeriesInstanceUID", SERIES))


def test_the_same_key_twice() -> None:
    with pytest.raises(IdentifierError, match="several columns"):
        move_identifier({"0020000D": STUDY, "study uid": "1.2.4"})


BAD_UIDS: list[object] = [
    *("", " ", None, float("nan"), pd.NA, "*", "?", "1.2.*", "1.2.?", "1.2.3\\1.2.4", "\\"),
    *([STUDY], (STUDY, STUDY), {STUDY}, STUDY.encode(), {"a": 1}, 1.2, 1, True, dt.date(2024, 1, 5)),
    *("1..2", ".1.2", "1.2.", "abc", "1." + "2" * 63, "1.2 .3", "1.2\n.3", "nan", "1"),
]
BAD_PATIENTS: list[object] = ["", None, "*", "P*", "P?", "A\\B", "x" * 65, "A\nB", "A\x1bB", 7, 7.0, ["7"], b"7"]


UID_COLUMNS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


@pytest.mark.parametrize(
    ("bad", "column", "model"),
    [
        *((bad, "SeriesInstanceUID", "StudyRoot") for bad in BAD_UIDS),
        *(("1..2", column, model) for column in UID_COLUMNS for model in ["StudyRoot", "PatientRoot"]),
    ],
    ids=repr,
)
def test_a_bad_uid_is_never_sent(bad: object, column: str, model: str) -> None:
    query = {**FULL, column: bad}
    with pytest.raises(IdentifierError) as caught:
        move_identifier(query, model, "IMAGE")
    assert caught.value.column == column
    good, row = move_identifiers(pd.DataFrame([FULL, query], dtype=object), "IMAGE", model)
    assert isinstance(good, Identifier)
    assert isinstance(row, IdentifierError)
    assert (row.column, str(row)) == (column, str(caught.value))


@pytest.mark.parametrize("bad", BAD_PATIENTS, ids=repr)
@pytest.mark.parametrize("level", LEVELS)
def test_a_bad_patient_id_is_never_sent(bad: object, level: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        move_identifier({**FULL, "PatientID": bad}, "PatientRoot", level)
    assert caught.value.column == "PatientID"
    assert move_identifier({**FULL, "PatientID": bad}, "StudyRoot", "IMAGE")["StudyInstanceUID"] == STUDY


def test_a_patient_id_of_64_characters_is_sent() -> None:
    assert move_identifier({"PatientID": "x" * 64}, "PatientRoot", "PATIENT")["PatientID"] == "x" * 64


def test_nothing_of_a_patient_is_shown() -> None:
    shown = [repr(move_identifier(FULL, "PatientRoot", level)) for level in LEVELS]
    assert STUDY in shown[1]
    assert "PatientID=<hidden>" in shown[0]
    for bad in ["SECRET*", "SECRET\\1", "SECRET\n1", "SECRET" + "x" * 64, ["SECRET"], {"SECRET"}, "SECRET"]:
        for column in ("PatientID", "StudyInstanceUID", "QueryRetrieveLevel"):
            query = {**FULL, "QueryRetrieveLevel": "STUDY"}
            row = move_identifiers(pd.DataFrame([{**query, column: bad}, query]), None, "PatientRoot")[0]
            shown += [str(row), repr(row)]
    assert not [line for line in shown if "SECRET" in line]


def test_identifiers_are_values() -> None:
    one, two = move_identifier(FULL), move_identifier(FULL)
    assert one == two
    assert len({one, two, move_identifier(FULL, level="STUDY")}) == 2
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 (our own)
    assert one.get("SOPInstanceUID") == one["SOPInstanceUID"] == SOP
    assert one.get("PatientID") is None
    assert one.get("PatientID", "none") == "none"
    with pytest.raises(KeyError):
        one["PatientID"]


@pytest.mark.parametrize(
    ("model", "level", "message"),
    [
        ("StudyRoot", "INSTANCE", "IMAGE"),
        ("StudyRoot", "", "STUDY"),
        ("StudyRoot", "nonsense", "STUDY"),
        ("StudyRoot", "PATIENT", 'query_model="PatientRoot"'),
        ("studyroot", "STUDY", "StudyRoot, PatientRoot"),
        ("", None, "StudyRoot, PatientRoot"),
    ],
)
def test_levels_and_models_that_are_not(model: str, level: str | None, message: str) -> None:
    with pytest.raises(IdentifierError, match=message):
        move_identifier(FULL, model, level)
    for rows in ([FULL], []):
        with pytest.raises(CohortError, match=message):
            move_identifiers(pd.DataFrame(rows), level, model)


@pytest.mark.parametrize("word", ["INSTANCE", "PATIENT", "x", 1, ["STUDY"]])
def test_a_level_that_is_not_is_the_error_of_its_row(word: object) -> None:
    bad, good = move_identifiers(pd.DataFrame([{**FULL, "QueryRetrieveLevel": w} for w in (word, "study")]))
    assert isinstance(bad, IdentifierError)
    assert bad.column == "QueryRetrieveLevel"
    assert isinstance(good, Identifier)


def test_a_column_of_levels_that_are_none() -> None:
    table = frame(StudyInstanceUID=[STUDY] * 3, QueryRetrieveLevel=["INSTANCE", "", "x"])
    with pytest.raises(CohortError, match="QueryRetrieveLevel"):
        move_identifiers(table)
    assert len(move_identifiers(table, "STUDY")) == 3


def test_a_patient_is_moved_only_when_the_level_says_so() -> None:
    with pytest.raises(CohortError, match='level="PATIENT"'):
        move_identifiers(frame(PatientID=[PATIENT]), query_model="PatientRoot")
    with pytest.raises(IdentifierError, match="no StudyInstanceUID"):
        move_identifier({"PatientID": PATIENT}, "PatientRoot")
    rows = move_identifiers(
        frame(PatientID=[PATIENT] * 2, QueryRetrieveLevel=["PATIENT", ""], StudyInstanceUID=["", ""]),
        None,
        "PatientRoot",
    )
    assert isinstance(rows[0], Identifier)
    assert isinstance(rows[1], IdentifierError)
    # A table of whole patients needs no other column.
    assert isinstance(only(frame(PatientID=[PATIENT], QueryRetrieveLevel=["PATIENT"]), None, "PatientRoot"), Identifier)
    with pytest.raises(CohortError, match="no column StudyInstanceUID"):
        move_identifiers(frame(PatientID=[PATIENT], QueryRetrieveLevel=["PATIENT"]))


@pytest.mark.parametrize(
    "column", ["AccessionNumber", "PatientID", "StudyDate", "PatientName", "arm", "SeriesInstanceUID"]
)
@pytest.mark.parametrize("level", [None, "STUDY", "SERIES"])
def test_a_table_without_keys_names_find(column: str, level: str | None) -> None:
    with pytest.raises(CohortError, match=r"no column StudyInstanceUID.*dicomove\.find"):
        move_identifiers(frame(**{column: ["SECRET"]}), level)


def test_a_table_without_the_key_of_the_level() -> None:
    with pytest.raises(CohortError, match="SeriesInstanceUID"):
        move_identifiers(frame(StudyInstanceUID=[STUDY]), "SERIES")
    with pytest.raises(CohortError, match="PatientID"):
        move_identifiers(frame(StudyInstanceUID=[STUDY]), "STUDY", "PatientRoot")


def test_a_key_that_is_the_index_is_named() -> None:
    with pytest.raises(CohortError, match="reset_index"):
        move_identifiers(frame(StudyInstanceUID=[STUDY], arm=["a"]).set_index("StudyInstanceUID"))


@pytest.mark.parametrize(
    "table", [None, [FULL], FULL, pd.Series([STUDY], name="StudyInstanceUID"), "cohort.csv"], ids=type
)
def test_what_is_no_table(table: object) -> None:
    with pytest.raises(CohortError, match="DataFrame"):
        move_identifiers(table)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cells",
    [
        pd.Series([123, 456]),
        pd.Series([1.5, None]),
        pd.Series([True, False]),
        pd.Series([123, None], dtype="Int64"),
        pd.Series([123, "", None], dtype=object),
        pd.Series([123, 456], dtype="category"),
    ],
    ids=str,
)
def test_a_column_of_numbers(cells: pd.Series) -> None:
    with pytest.raises(CohortError, match=r"StudyInstanceUID holds numbers.*dtype=str.*read_cohort"):
        move_identifiers(pd.DataFrame({"StudyInstanceUID": cells}))
    with pytest.raises(CohortError, match="PatientID holds numbers"):
        move_identifiers(pd.DataFrame({"PatientID": cells, "StudyInstanceUID": STUDY}), "STUDY", "PatientRoot")
    rows = move_identifiers(pd.DataFrame({"PatientID": cells, "AccessionNumber": cells, "StudyInstanceUID": STUDY}))
    assert all(isinstance(row, Identifier) for row in rows)


def test_columns_that_the_level_does_not_need_may_be_repeated() -> None:
    row = {"StudyInstanceUID": STUDY, "series uid": "1", "SeriesUID": "2", "acc nr": "A", "acc no": "B"}
    twice = pd.DataFrame([row])
    assert isinstance(only(twice, "STUDY"), Identifier)
    assert isinstance(move_identifier(row, level="STUDY"), Identifier)
    with pytest.raises(CohortError, match="several columns stand for SeriesInstanceUID"):
        only(twice)
    accessions = twice[["StudyInstanceUID", "acc nr", "acc no"]]
    assert isinstance(only(accessions), Identifier)
    assert on_coarser_rows(accessions, move_identifiers(accessions)) is None


def test_a_single_number_is_the_error_of_its_row() -> None:
    good, bad = move_identifiers(frame(StudyInstanceUID=[STUDY, 1.2]))
    assert isinstance(good, Identifier)
    assert isinstance(bad, IdentifierError)


def test_a_numeric_column_without_values_is_blank() -> None:
    found = only(frame(StudyInstanceUID=[STUDY], SeriesInstanceUID=[float("nan")], SOPInstanceUID=[pd.NaT]))
    assert isinstance(found, Identifier)
    assert found.level == "STUDY"
    assert isinstance(only(frame(StudyInstanceUID=[float("nan")])), IdentifierError)


@pytest.mark.parametrize("columns", [[], ["StudyInstanceUID"], ["arm"], ["arm", "arm"], ["PatientID"]])
def test_an_empty_table_has_no_rows(columns: list[str]) -> None:
    assert move_identifiers(pd.DataFrame(columns=columns)) == []


def test_a_row_without_keys_says_so() -> None:
    row = only(frame(StudyInstanceUID=[""], AccessionNumber=["A"]))
    assert isinstance(row, IdentifierError)
    assert row.column == "StudyInstanceUID"
    assert "no StudyInstanceUID" in str(row)
    assert "C-FIND" in str(row)


def test_an_upper_key_that_is_missing_is_named() -> None:
    row = only(frame(StudyInstanceUID=[STUDY], SeriesInstanceUID=[""], SOPInstanceUID=[SOP]))
    assert isinstance(row, IdentifierError)
    assert row.column == "SeriesInstanceUID"
    assert str(row).startswith("SeriesInstanceUID is empty")


def test_any_index_and_repeated_labels_and_the_table_stays() -> None:
    table = pd.DataFrame([["a", STUDY, "b"], ["c", "1.2.4", "d"]], columns=["x", "study uid", "x"], index=[7, 7])
    before = table.copy(deep=True)
    found = move_identifiers(table)
    assert [row["StudyInstanceUID"] for row in found if isinstance(row, Identifier)] == [STUDY, "1.2.4"]
    pd.testing.assert_frame_equal(table, before)
    multi = pd.DataFrame({("StudyInstanceUID", ""): [STUDY], ("n", "sum"): [1]}).set_index(
        pd.MultiIndex.from_tuples([(1, 2)])
    )
    assert isinstance(only(multi), Identifier)


@pytest.mark.parametrize(
    "uids",
    [
        pd.Series([STUDY, None], dtype="object"),
        pd.Series([STUDY, None], dtype="string"),
        pd.Series([STUDY, None], dtype="string[pyarrow]"),
        pd.Series([STUDY, None], dtype="category"),
        pd.Series([STUDY, None], dtype="str"),
    ],
    ids=lambda uids: str(uids.dtype),
)
def test_any_type_of_text(uids: pd.Series) -> None:
    good, bad = move_identifiers(pd.DataFrame({"StudyInstanceUID": uids}))
    assert isinstance(good, Identifier)
    assert isinstance(bad, IdentifierError)


def test_a_hundred_thousand_rows_take_seconds() -> None:
    uids = [f"1.2.840.113619.2.55.{i}" for i in range(100_000)]
    table = frame(PatientID=uids, StudyInstanceUID=uids, SeriesInstanceUID=uids)
    begin = time.process_time()
    assert len(move_identifiers(table, None, "PatientRoot")) == 100_000
    assert time.process_time() - begin < 10  # 1 s, and room for a slow machine


cells = st.one_of(
    st.sampled_from([*BAD_UIDS, *BAD_PATIENTS, *LEVELS, STUDY, SERIES, SOP, "study"]),
    st.text(alphabet="12.*?\\ \0A", max_size=8),
    st.from_regex(r"[0-2](\.[1-9]{1,3}){1,4}", fullmatch=True),
    st.integers(),
    st.floats(),
    st.dates(),
    st.lists(st.just(STUDY), max_size=2),
    st.none(),
)
labels = st.one_of(
    st.sampled_from([*FULL, "QueryRetrieveLevel", "study uid", "mrn", "0020000D", "arm"]), st.integers(0, 3), st.none()
)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    columns = draw(st.lists(labels, max_size=6))
    rows = draw(st.lists(st.lists(cells, min_size=len(columns), max_size=len(columns)), max_size=4))
    return pd.DataFrame({i: pd.Series([row[i] for row in rows], dtype=object) for i in range(len(columns))}).set_axis(
        pd.Index(columns, dtype=object), axis=1
    )


def assert_safe(identifier: Identifier) -> None:
    model: QueryModel = identifier.query_model
    assert [name for name, _ in identifier.keys] == list(UNIQUE_KEYS[model][identifier.level])
    for name, value in identifier.keys:
        assert type(value) is str
        assert value == value.strip() != ""
        assert not set("*?\\\0\n") & set(value)
        assert len(value) <= 64
        assert name == "PatientID" or is_uid(value)


@relaxed
@given(tables(), st.sampled_from([None, *LEVELS, "INSTANCE"]), st.sampled_from(["StudyRoot", "PatientRoot", "x"]))
def test_any_table_gives_one_entry_per_row_or_a_cohort_error(
    table: pd.DataFrame, level: str | None, model: str
) -> None:
    try:
        found = move_identifiers(table, level, model)
    except CohortError:
        return
    assert len(found) == len(table)
    for entry in found:
        if isinstance(entry, Identifier):
            assert_safe(entry)
            assert level in {None, entry.level}
        else:
            assert isinstance(entry, IdentifierError)


rows = st.dictionaries(st.sampled_from([*FULL, "QueryRetrieveLevel"]), cells)


@relaxed
@given(rows, st.sampled_from([None, *LEVELS]), st.sampled_from(["StudyRoot", "PatientRoot"]))
def test_any_row_is_safe_or_an_identifier_error(row: dict[str, object], level: str | None, model: str) -> None:
    try:
        found = move_identifier(row, model, level)
    except IdentifierError:
        return
    assert_safe(found)
    assert move_identifier(dict(found.keys), model, found.level) == found
    if found.level == "PATIENT":
        assert "PATIENT" in (level, row.get("QueryRetrieveLevel"))


@relaxed
@given(st.from_regex(r"[A-Za-z0-9 _.-]{1,64}", fullmatch=True).filter(str.strip))
def test_good_identifiers_go_through_as_they_are(patient: str) -> None:
    found = move_identifier({**FULL, "PatientID": patient}, "PatientRoot", "STUDY")
    assert found.keys == (("PatientID", patient.strip()), ("StudyInstanceUID", STUDY))


def test_keys_from_find_are_sent_as_the_pacs_gave_them() -> None:
    odd = ["1.2.03", "1.2.840.X-1", "1." + "2" * 90, "1.2.*", "1.2\\1.3", "1.2.3"]
    found = pd.DataFrame({"cohort_row": 0, "StudyInstanceUID": odd, "outcome": "matched", "matches": 1, "filtered": 0})
    *sent, wildcard, several, usual = move_identifiers(found)
    uids = [entry["StudyInstanceUID"] for entry in [*sent, usual] if isinstance(entry, Identifier)]
    assert uids == [*odd[:3], odd[5]]
    assert [type(entry) for entry in (wildcard, several)] == [IdentifierError] * 2
    *refused, sent_too = move_identifiers(found[["StudyInstanceUID"]])
    assert [type(entry) for entry in refused] == [Identifier, *[IdentifierError] * 4]
    assert sent_too == usual


def test_a_patient_id_that_a_spreadsheet_damaged_is_not_sent() -> None:
    table = pd.DataFrame({"PatientID": ["#REF!", "1.23E+05", "000123"]})
    one, two, three = move_identifiers(table, "PATIENT", "PatientRoot")
    assert [type(entry) for entry in (one, two, three)] == [IdentifierError, IdentifierError, Identifier]


UNREADABLE = ["SECRET*", "SECRET\\1", "#REF!", "1.23E+05", "x" * 65, ["SECRET"], dt.date(2024, 1, 5)]


@pytest.mark.parametrize("bad", UNREADABLE, ids=repr)
@pytest.mark.parametrize("key", ["PatientID", "AccessionNumber"])
def test_a_key_beside_a_uid_that_cannot_be_compared_keeps_its_row_back(key: str, bad: object) -> None:
    """The row comes last: those above it have no UID, or are no matter of a study, or are good."""
    table = pd.DataFrame([{}, FULL, {**FULL, key: None}, {**FULL, key: bad}], columns=list(FULL), dtype=object)
    no_uid, good, blank, kept_back = move_identifiers(table)
    assert [type(entry) for entry in (no_uid, good, blank)] == [IdentifierError, Identifier, Identifier]
    assert isinstance(kept_back, IdentifierError)
    assert kept_back.column == key
    assert str(kept_back).endswith("Leave the cell blank to rely on SOPInstanceUID alone")
    assert "SECRET" not in str(kept_back)
    from_find = table[3:].assign(cohort_row=0, outcome="matched", matches=1, filtered=0)
    assert isinstance(only(from_find), Identifier)  # the PACS has said whose the study is


@pytest.mark.parametrize("bad", UNREADABLE, ids=repr)
def test_a_whole_patient_has_no_accession_number_to_compare(bad: object) -> None:
    table = pd.DataFrame([{**FULL, "AccessionNumber": bad}], dtype=object)
    assert isinstance(only(table, "PATIENT", "PatientRoot"), Identifier)
    assert isinstance(only(table, "STUDY", "PatientRoot"), IdentifierError)


def test_a_row_that_lacks_the_uid_of_the_others_is_told() -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4"], "SeriesInstanceUID": ["1.2.3.1", ""]})
    message = on_coarser_rows(table, move_identifiers(table))
    assert message is not None
    assert "1 of 2 rows lack a UID that the others have" in message
    leveled = table.assign(QueryRetrieveLevel=["SERIES", "STUDY"])
    assert on_coarser_rows(leveled, move_identifiers(leveled)) is None
    assert on_coarser_rows(table.iloc[:1], move_identifiers(table.iloc[:1])) is None


def test_many_rows_are_compared_with_each_other_only_once() -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3"], "SeriesInstanceUID": ["1.2.3.1"]})
    many = move_identifiers(table) * 40_000
    before = time.process_time()
    assert on_coarser_rows(table, many) is None
    assert time.process_time() - before < 2  # each with all others: 16 s
