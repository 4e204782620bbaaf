from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dicomove.cohort import find_queries, read_cohort
from dicomove.cohort.files.header_rows import choose_sheet, header_text
from dicomove.cohort.files.stored_cells import Shown
from dicomove.errors import CohortError, CohortWarning, IdentifierError

ROW = {"PatientID": "000123", "AccessionNumber": "A1"}


def read(folder: Path, content: str | bytes, name: str = "cohort.csv", **options: Any) -> tuple[pd.DataFrame, str]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_cohort(path, **options)
    assert all(warning.category is CohortWarning and warning.filename == __file__ for warning in caught)
    return table, " | ".join(str(warning.message) for warning in caught)


def rows(table: pd.DataFrame) -> list[dict[str, str]]:
    return [{str(name): cell for name, cell in row.items()} for row in table.to_dict("records")]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("sep=;\r\nPatientID;AccessionNumber\r\n000123;A1\r\n", "a.csv"),
        ('"sep=;"\nPatientID;AccessionNumber\n000123;A1\n', "a.csv"),
        ("\ufeffSEP=,\nPatientID,AccessionNumber\n000123,A1\n", "a.csv"),
        ("sep=\t\nPatientID\tAccessionNumber\n000123\tA1\n", "a.csv"),
        ("sep=|\nPatientID|AccessionNumber\n000123|A1\n", "a.txt"),
        ("sep=~\nPatientID~AccessionNumber\n000123~A1\n", "a.csv"),
        ("sep=;\nPatientID;AccessionNumber\n000123;A1\n", "a.tsv"),
        ("PatientID|AccessionNumber\n000123|A1\n", "a.csv"),
        ("# by me, 2024; all\n#\n\nPatientID;AccessionNumber\n000123;A1\n", "a.csv"),
        ("# a \"quotation\n# 'mark\nsep=;\nPatientID;AccessionNumber\n000123;A1\n", "a.csv"),
        ("#PatientID\tAccessionNumber\n000123\tA1\n", "a.tsv"),
        ('"Patient\nID";"Accession \r\n Number"\n000123;A1\n', "a.csv"),
        ('"Patient,\nID";"Accession;\nNumber"\n000123;A1\n', "a.csv"),
        ('PatientID,"Accession\nNumber"\r000123,A1\r', "a.csv"),
    ],
)
def test_lines_around_a_header(tmp_path: Path, content: str, name: str) -> None:
    table, said = read(tmp_path, content, name)
    assert rows(table) == [ROW]
    assert not said


def test_a_header_of_two_lines_of_the_users_own_is_one_line(tmp_path: Path) -> None:
    table, _ = read(tmp_path, 'accession,"time of\n day"\nA1,x\n')
    assert list(table.columns) == ["AccessionNumber", "time of day"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("name", ["Müller", "Иванов"])
def test_encodings_are_recognised(tmp_path: Path, encoding: str, name: str) -> None:
    table, said = read(tmp_path, f"mrn,accession,name\n000123,A1,{name}\n".encode(encoding))
    assert rows(table) == [{**ROW, "name": name}]
    assert said == (
        f"the file does not name its encoding, and was read as {encoding}: encoding={encoding!r} confirms it"
        if encoding.endswith("e")
        else ""
    )


@pytest.mark.parametrize(
    ("content", "encoding", "named"),
    [
        ("accession\nA1\n".encode("utf-16-le")[:-1], "utf-8-sig", "utf-16-le"),
        (b"accession\nA1\n", "no-such-encoding", "no-such-encoding"),
        (b"accession\n\xff\xff\n", "ascii", "ascii"),
    ],
)
def test_undecodable_text_is_a_cohort_error(tmp_path: Path, content: bytes, encoding: str, named: str) -> None:
    with pytest.raises(CohortError, match=named):
        read(tmp_path, content, encoding=encoding)


def test_nuls_are_padding(tmp_path: Path) -> None:
    table, _ = read(tmp_path, "mrn,accession\n000123\0\0,A1\0\n")
    assert rows(table) == [ROW]


@pytest.mark.parametrize(
    ("content", "line", "above"),
    [
        ("Cohort stroke;;\nPatientID;AccessionNumber;\n000123;A1;\n", 2, "line 1"),
        ("Cohort stroke\n\nPatientID,AccessionNumber\n000123,A1\n", 3, "line 1"),
        ("Cohort, of 2024; all\n\nPatientID;AccessionNumber\n000123;A1\n", 3, "line 1"),
        ("Accession\nCreated\nPatientID;AccessionNumber\n000123;A1\n", 3, "lines 1, 2"),
        ("Patient;Study\nPatientID;AccessionNumber\n000123;A1\n", 2, "line 1"),
    ],
)
def test_a_title_above_the_header_is_left_out_and_said(tmp_path: Path, content: str, line: int, above: str) -> None:
    if content.startswith("Patient;"):
        # Two rows of two headers: only a person can tell.
        with pytest.raises(CohortError, match=r"line 2 .* line 1 looks like a header, too: header=0"):
            read(tmp_path, content)
        table, said = read(tmp_path, content, header=1)
    else:
        table, said = read(tmp_path, content)
    assert [row["AccessionNumber"] for row in rows(table)] == ["A1"]
    assert said == f"the header is on line {line}; the lines above it were left out: {above}"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("000123;A1;20240105\n000124;A2;20240106\n", 1),
        ("1.2.840.113619.2.1\n1.2.840.113619.2.2\n", 1),
        ("A1;CT\nA2;CT\n", 1),
        ("A1;CT\nA2;CT\nTotal;2\n", 1),
        ("Doe;2024-01-05\n", 1),
        ("\n\nDoe;05.01.2024\n", 3),
    ],
)
def test_no_header_at_all_is_said(tmp_path: Path, content: str, line: int) -> None:
    with pytest.raises(
        CohortError, match=rf"line {line} should be the header.*columns=\[.*header={line - 1} "
    ) as caught:
        read(tmp_path, content)
    assert "Doe" not in str(caught.value)
    assert "A1" not in str(caught.value)


def test_columns_without_a_header(tmp_path: Path) -> None:
    content = "000123;A1\n000124;A2\n"
    table, said = read(tmp_path, content, columns=["PatientID", "AccessionNumber"])
    assert rows(table) == [ROW, {"PatientID": "000124", "AccessionNumber": "A2"}]
    assert not said
    assert rows(read(tmp_path, content, columns={0: "PatientID", 1: "AccessionNumber"})[0]) == rows(table)
    with pytest.raises(CohortError, match="names 1 columns, but the file has 2"):
        read(tmp_path, content, columns=["PatientID"])
    with pytest.raises(CohortError, match="dictionary"):
        read(tmp_path, content, columns="PatientID")


def test_positions_name_columns_with_and_without_a_header(tmp_path: Path) -> None:
    columns = {0: "PatientID", 1: "AccessionNumber"}
    for header in ("Kennung;Auftrag\n", "mrn;2024-01-05\n"):
        assert rows(read(tmp_path, f"{header}000123;A1\n", columns=columns)[0]) == [ROW]
    with pytest.raises(CohortError, match="the file is empty"):
        read(tmp_path, "", columns=columns)
    with pytest.raises(CohortError, match="line 1 should be the header"):
        read(tmp_path, "000123;A1\n", columns={})


def test_own_headers_below_a_title(tmp_path: Path) -> None:
    table, said = read(tmp_path, "Kohorte;\nVisite 1;Arm\nx;y\nz;y\n")
    assert rows(table) == [{"Visite 1": "x", "Arm": "y"}, {"Visite 1": "z", "Arm": "y"}]
    assert said == "the header is on line 2; the lines above it were left out: line 1"


def test_a_number_in_a_header_is_what_a_person_saw() -> None:
    assert header_text(Shown(7, "007")) == "007"


def test_a_file_without_a_sheet_is_empty() -> None:
    with pytest.raises(CohortError, match="the file is empty"):
        choose_sheet([], None, ())


def test_damage_without_a_header_is_named_by_its_line(tmp_path: Path) -> None:
    _, said = read(tmp_path, "A1;x\n#N/A;y\n", columns=["AccessionNumber", "arm"])
    assert "row 1 (line 2), AccessionNumber: an error" in said


def test_columns_say_what_headers_mean(tmp_path: Path) -> None:
    content = "Patienten-ID;Auftragsnummer;accession\n000123;A1;0.93\n"
    columns = {"Patienten-ID": "PatientID", " auftragsnummer": "AccessionNumber"}
    table, said = read(tmp_path, content, columns=columns)
    assert rows(table) == [{**ROW, "accession": "0.93"}]
    assert not said
    table, _ = read(tmp_path, f"Unser Titel;;\n{content}", columns=columns)
    assert rows(table) == [{**ROW, "accession": "0.93"}]
    table, _ = read(tmp_path, content, columns={0: "PatientID", 1: "AccessionNumber"})
    assert rows(table) == [{**ROW, "accession": "0.93"}]


def test_a_column_of_the_same_name_stays_the_users_own(tmp_path: Path) -> None:
    content = "Auftragsnummer;AccessionNumber;mrn\nA1;0.93;000123\n"
    table, said = read(tmp_path, content, columns={"Auftragsnummer": "AccessionNumber"})
    assert rows(table) == [{"AccessionNumber": "A1", "AccessionNumber_cohort": "0.93", "PatientID": "000123"}]
    assert "'AccessionNumber' stays yours, as 'AccessionNumber_cohort'" in said


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Auftrag": "AccessionNumber"}, "'Auftrag' does not exist; the headers are 'Auftragsnummer', 'x'"),
        ({"Auftragsnummer": "Accession"}, "'Accession' is not one of the keywords"),
        ({"Auftragsnummer": "AccessionNumber", "x": "AccessionNumber"}, "names AccessionNumber twice"),
        ({"Auftragsnummer": "AccessionNumber", "auftragsnummer": "PatientID"}, "two keywords"),
        ({7: "AccessionNumber"}, "7 does not exist"),
        ({2: "AccessionNumber"}, "2 does not exist"),
        ({-1: "AccessionNumber"}, "-1 does not exist"),
    ],
)
def test_columns_that_cannot_be_right(tmp_path: Path, columns: dict[Any, str], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        read(tmp_path, "Auftragsnummer;x\nA1;1\n", columns=columns)
    with pytest.raises(CohortError, match="more than once"):
        read(tmp_path, "a;a\nA1;1\n", columns={"a": "AccessionNumber"})


def test_header_counts_from_0(tmp_path: Path) -> None:
    content = "Titel;b\nmrn;accession\n000123;A1\n"
    table, said = read(tmp_path, content, header=1)
    assert rows(table) == [ROW]
    assert "line 2" in said
    for header in (0, 2, 9, -1):
        with pytest.raises(CohortError, match=rf"header={header} is line {header + 1}, .*header=1"):
            read(tmp_path, content, header=header)
    own = {"Nr": "PatientID", "Auftrag": "AccessionNumber"}
    assert rows(read(tmp_path, "Titel;b\nNr;Auftrag\n000123;A1\n", header=1, columns=own)[0]) == [ROW]
    table, _ = read(tmp_path, "12;13\n000123;A1\n", header=0)
    assert list(table.columns) == ["12", "13"]


def test_a_header_of_two_rows_is_said(tmp_path: Path) -> None:
    for below in ("1;2;3\n", ""):
        with pytest.raises(CohortError, match="lines 1 and 2 look like a header of two rows"):
            read(tmp_path, f"PatientID;Study;\n;Date;Accession\n{below}")
    # A cell may hold the word of a header.
    table, _ = read(tmp_path, "PatientID;kind of number\n7;MRN\n8;accession\n")
    assert len(table) == 2


def test_a_word_of_a_header_among_the_cells_is_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"line 3 .* line 1 looks like a header, too"):
        read(tmp_path, "Patienten-ID;Auftragsnummer;Art\n12;A1;x\n13;A2;MRN\n")


def test_comments_below_the_header_are_left_out_where_there_are_some_above(tmp_path: Path) -> None:
    table, said = read(tmp_path, "# mine\nmrn,accession\n000123,A1\n#000124,A2\n")
    assert rows(table) == [ROW]
    assert said == "comments (#) were left out, also below the header: line 4"
    table, said = read(tmp_path, "mrn,accession\n000123,A1\n#000124,A2\n")
    assert len(table) == 2


@pytest.mark.parametrize(
    ("content", "asked", "named"),
    [
        (
            "accession;Indication;StudyDate\nA1;headache\nand fever;20240105\nA2;x;20240106\n",
            [False, False, True],
            (0, 1),
        ),
        ("accession;Indication\nA1;headache\n12345\nA2;x\nA3;y\n", [True, False, False, True], (1,)),
        ("Indication;accession\nx;A1\n23\ny;A2\n", [False, False, True], (1,)),
        ("accession;Indication\nA1\n23;headache\nA2;x\n", [False, False, True], (0,)),
        ("accession;StudyDate\nA1\n", [False], (0,)),
        ("accession;arm;remark\nA1;x\nA2;y;z\n", [False, True], (0,)),
        ("accession;arm\nA1;x\nA2;y\nTotal: 2\n", [True, True, False], (2,)),
    ],
)
def test_short_lines_are_named_and_never_padded(
    tmp_path: Path, content: str, asked: list[bool], named: tuple[int, ...]
) -> None:
    table, said = read(tmp_path, content)
    assert [not isinstance(query, IdentifierError) for query in find_queries(table)] == asked
    assert "lines have too few fields" in said
    for row in named:
        assert f"row {row} (line {row + 2}), " in said
    assert "headache" not in said
    assert "12345" not in said


@pytest.mark.parametrize("end", ["", ";"])
def test_a_delimiter_at_the_end_of_the_header_alone_is_no_column(tmp_path: Path, end: str) -> None:
    table, said = read(tmp_path, f"mrn;accession;{end}\n000123;A1\n000124;A2\n")
    assert rows(table) == [ROW, {"PatientID": "000124", "AccessionNumber": "A2"}]
    assert not said


def test_a_delimiter_at_the_end_of_all_lines_but_the_header_is_no_cell(tmp_path: Path) -> None:
    table, said = read(tmp_path, "mrn;accession\n000123;A1;\n000124;A2;\n")
    assert rows(table) == [ROW, {"PatientID": "000124", "AccessionNumber": "A2"}]
    assert "end with a delimiter more than the header" in said
    # This may also be a cell with a delimiter: "knee; left".
    for content in ("mrn;accession\n000123;A1;\n", "mrn;accession\n000123;A1;\n000124;A2\n"):
        with pytest.raises(CohortError, match="line 2 has 3 fields"):
            read(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        "mrn;accession\n1;000123;A1\n2;000124;A2\n",
        "mrn;accession;remark\n1;000123;A1;\n2;000124;A2;\n",  # the remark is blank in every line
        "mrn;accession;remark\n3;000123;A1;\n17;000124;A2;\n",
    ],
)
def test_row_numbers_without_a_header_are_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(CohortError, match="begin with row numbers, give that column a header"):
        read(tmp_path, content)


@pytest.mark.parametrize("mark", ["^", ":", "~", " ", "¦"])
def test_another_delimiter_is_named(tmp_path: Path, mark: str) -> None:
    content = f"mrn{mark}accession{mark}arm\n000123{mark}A1{mark}x\n"
    with pytest.raises(CohortError, match=r"line 1 has several headers, with .* between them: .*sep="):
        read(tmp_path, content)
    table, _ = read(tmp_path, f"sep={mark}\n{content}")
    assert rows(table) == [{**ROW, "arm": "x"}]


@pytest.mark.parametrize(
    "content",
    [
        '"mrn" "accession"\n"1" "000123" "A1"\n',  # write.table of R, with and without the names of its rows
        '"mrn" "accession"\n"000123" "A1"\n',
        "mrn accession arm\n1 000123 A1 x\n",
        "mrn        accession\n---------- ---------\n000123     A1\n",  # sqlcmd
    ],
)
def test_blanks_between_columns_are_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(CohortError, match="line 1 has several headers, with blanks between them"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "content", ["mrn_accession\n000123_A1\n", "MRN/Accession\nA1\n", "Accession Number (MRN)\nA1\n"]
)
def test_one_column_with_two_words_for_keys_is_read(tmp_path: Path, content: str) -> None:
    table, _ = read(tmp_path, content)
    assert [[*table.columns], *table.to_numpy().tolist()] == [[line] for line in content.split("\n")[:2]]


def test_a_header_that_the_user_names_may_contain_several(tmp_path: Path) -> None:
    table, _ = read(tmp_path, "accession / mrn\nA1\n", columns={"accession / mrn": "AccessionNumber"})
    assert rows(table) == [{"AccessionNumber": "A1"}]


@pytest.mark.parametrize("name", ["cohort.tsv", "cohort.csv"])
def test_a_delimiter_that_the_file_does_not_have_does_not_count(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(("" if name.endswith("tsv") else "sep=,\n") + "mrn;accession\n000123;A1\n")
    assert read_cohort(path).to_dict("records") == [ROW]


@pytest.mark.parametrize(
    "content",
    [
        "mrn;accession;\n000123;A1\n000124\n",
        "mrn;accession;remark\n000123;A1\n",
        "arm;accession;\nx;A1\n23;\n",  # "A1" and "23" may be one cell
        "mrn;accession;;remark\n000123;A1\n",
    ],
)
def test_a_line_that_may_be_a_part_of_one_stays_unknown(tmp_path: Path, content: str) -> None:
    table, said = read(tmp_path, content)
    assert all(isinstance(query, IdentifierError) for query in find_queries(table))
    assert "does only the header end with a delimiter" in said


def test_a_quotation_mark_that_is_not_closed_is_said(tmp_path: Path) -> None:
    table, said = read(tmp_path, 'accession;arm\nA1;"x\nA2;y\nA3;z"\nA4;w\n')
    assert [row["AccessionNumber"] for row in rows(table)] == ["A1", "A4"]
    assert said == "a cell contains text that looks like rows (quotation mark not closed?): line 2"
    _, said = read(tmp_path, 'accession;arm\nA1;"x\ny, z"\n')
    assert not said


def test_a_sheet_is_of_a_spreadsheet(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="sheet= is for spreadsheets"):
        read(tmp_path, "mrn\n1\n", sheet="data")


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.parquet", "d"])
def test_a_folder_without_a_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(CohortError, match="folder"):
        read_cohort(tmp_path / name)


numbers = st.from_regex(r"[0-9]{1,6}", fullmatch=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(numbers, numbers, st.text("ab 1", max_size=4)), min_size=1, max_size=6),
    st.permutations(["PatientID", "AccessionNumber", "remark"]),
    st.lists(st.integers(0, 200), max_size=3),
    st.sampled_from(["", ";", ";;"]),
)
def test_no_line_break_makes_a_number_of_two(
    tmp_path: Path, cells: list[tuple[str, str, str]], names: list[str], breaks: list[int], end: str
) -> None:
    table = [dict(zip(["PatientID", "AccessionNumber", "remark"], row, strict=True)) for row in cells]
    content = "".join(f"{';'.join(row[name] for name in names)}{end}\n" for row in table)
    for place in breaks:
        content = f"{content[: place % len(content)]}\n{content[place % len(content) :]}"
    found, _ = read(tmp_path, f"{';'.join(names)}{end}\n{content}")
    whole = {(row["PatientID"], row["AccessionNumber"]) for row in table}
    for query in find_queries(found):
        if not isinstance(query, IdentifierError):
            keys = {name: value for step in query.steps for name, value in step.keys}
            # A line break between cells may blank a key: the other one is whole, and asked for by its own name.
            assert any(
                keys.get("PatientID", patient) == patient and keys.get("AccessionNumber", accession) == accession
                for patient, accession in whole
            )
