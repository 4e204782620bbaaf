"""What people write in a hurry: each is refused before anything is sent, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove import headers
from dicomove.errors import IdentifierError

NOWHERE = dm.Pacs("PACS@127.0.0.1:9")
STUDIES = pd.DataFrame({"PatientID": ["000123"], "StudyInstanceUID": ["1.2.3"]})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("patients/000123.csv", "not a str: read_cohort.path. reads a file"),
        (Path("patients/000123.csv"), "not a PosixPath: read_cohort.path. reads a file"),
        (["000123"], "not a list: write pd.DataFrame..'StudyInstanceUID': list_of_uids"),
        (pd.Index(["000123"]), "not a Index: write pd.DataFrame..'StudyInstanceUID': list_of_uids"),
        ({"PatientID": ["000123"]}, "not a dict: write pd.DataFrame..... around it"),
        ([{"PatientID": "000123"}], "not a list: write pd.DataFrame..... around it"),
        (STUDIES["PatientID"], r"not a Series: for a column, write table\[\['PatientID'\]\]"),
        (NOWHERE, "not a Pacs: the table comes first"),
        (None, "not a NoneType: the table comes first"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda table: dm.find(table, NOWHERE, progress=False),
        lambda table: dm.move(table, NOWHERE, "STORE", progress=False),
        lambda table: dm.retrieve(table, NOWHERE, "STORE", progress=False),
        lambda table: dm.plan(table, NOWHERE, "STORE", progress=False),
    ],
)
def test_what_is_no_table(use: Callable[[Any], object], table: object, said: str) -> None:
    with pytest.raises(dm.CohortError, match=said) as raised:
        use(table)
    assert "000123" not in str(raised.value)


def test_a_polars_table_says_how_it_becomes_one() -> None:
    class Frame:
        def to_pandas(self) -> pd.DataFrame:
            return STUDIES

    with pytest.raises(dm.CohortError, match=r"\.to_pandas\(\)"):
        dm.find(Frame(), NOWHERE)  # type: ignore[arg-type]


@pytest.mark.parametrize("destination", [Path("images"), NOWHERE, dm.Receiver, None, 11112])
def test_what_is_no_destination(destination: Any) -> None:
    with pytest.raises(ValueError, match=r"destination: give an AE title .*Receiver\(folder\).*, not [A-Za-z]+$"):
        dm.move(STUDIES, NOWHERE, destination)


@pytest.mark.parametrize("use", [dm.move, dm.start_move, dm.retrieve])
def test_a_keyword_that_does_not_exist(use: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=r"^there is no parameter 'concurency': do you mean 'concurrency'\?$"):
        use(STUDIES, NOWHERE, "STORE", concurency=2)
    with pytest.raises(TypeError, match=r"^there is no parameter 'verbose'; move has concurrency, "):
        use(STUDIES, NOWHERE, "STORE", verbose=True)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda: dm.find(STUDIES, NOWHERE, loose=True), "loose=True: only AccessionNumber may match"),  # type: ignore[arg-type]
        (
            lambda: dm.move(STUDIES, NOWHERE, "STORE", executor=ThreadPoolExecutor),  # type: ignore[arg-type]
            "executor=<class .*: a concurrent.futures.Executor",
        ),
        (lambda: dm.read_results("results.xlsx"), r"\.parquet; read_cohort reads other tables$"),
        (lambda: dm.report(STUDIES, "report.pdf"), "'report.pdf': the page is HTML: give it the suffix .html"),
        (lambda: dm.run.Hours("19:00-06:00"), r"Hours\.parse\('19:00-06:00'\) reads hours"),  # type: ignore[arg-type]
        (lambda: dm.Receiver(__file__, port=0), r"test_wrong_arguments\.py': this is a file$"),
        (lambda: dm.export(STUDIES, "results.csv", pseudonymize=True), "results.csv keeps the identifiers"),
        (lambda: dm.export(STUDIES, "results.json", key="secret"), r"results.json keeps .*, or write a report\(\)$"),
        (lambda: dm.Receiver("images", port=0, min_free="5 GB"), "min_free='5 GB': a number of bytes"),  # type: ignore[arg-type]
        (lambda: dm.Receiver("images", port=0, min_free=-1), "min_free=-1: a number of bytes"),
        (lambda: dm.Receiver("images", port=0, limits=5), r"limits=5: give dicomove\.receiver\.Limits"),  # type: ignore[arg-type]
        (
            lambda: dm.Receiver("images", port=0, limits=dm.receiver.Limits(associations=0)),
            "limits: associations=0: a number above 0",
        ),
        (lambda: dm.Receiver("images", port=0, on_study="print"), "on_study='print': give a function"),  # type: ignore[arg-type]
        (
            lambda: dm.GetScu(NOWHERE).get_study({"StudyInstanceUID": "1.2.3"}, "images"),  # type: ignore[arg-type]
            r"receiver: give a Receiver\(folder, port=None\), not str",
        ),
    ],
)
def test_another_kind_of_argument(use: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        use()


@pytest.mark.parametrize("use", [dm.verify, dm.read_manifest, partial(dm.index, progress=False)])
def test_a_receiver_stands_for_its_folder(use: Callable[[object], pd.DataFrame], tmp_path: Path) -> None:
    with dm.Receiver(tmp_path, port=None) as receiver:
        assert list(use(receiver).columns) == list(use(tmp_path).columns)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no such folder: create it.*missing'$"):
        dm.export(STUDIES, tmp_path / "missing" / "results.csv")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "k.csv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"this is a folder: give the name of a file: '.*[/\\]k.csv'$"):
        dm.export(STUDIES, tmp_path / "k.csv")


@pytest.mark.parametrize(
    "use",
    [
        lambda folder, number: headers.index(folder, processes=number),
        lambda folder, number: headers.arrange(folder, folder.parent / "out", "{SeriesNumber}", processes=number),
        lambda folder, number: headers.convert(folder, folder.parent / "out", processes=number),
    ],
)
@pytest.mark.parametrize("number", [-1, 0, 1.5, True])
def test_a_number_of_processes_that_cannot_be(use: Callable[..., object], number: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^processes={number}: give a whole number from 1, or None$"):
        use(tmp_path, number)


def test_a_report_without_a_headline_or_with_another_key(tmp_path: Path) -> None:
    results = STUDIES.assign(outcome="complete")
    with pytest.raises(ValueError, match=r"^title=None: the headline is text$"):
        dm.report(results, tmp_path / "page.html", title=None)  # type: ignore[arg-type]
    for key in (3, True):
        with pytest.raises(ValueError, match=r"^the key is of type (int|bool): give text, or bytes$"):
            dm.report(results, tmp_path / "page.html", key=key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("1.2.000123", r"as {'StudyInstanceUID': uid}, not a str$"),
        (["1.2.000123"], r"as {'StudyInstanceUID': uid}, not a list$"),
        (STUDIES.iloc[0], r"not a Series; row.to_dict\(\) makes them of a row$"),
    ],
)
def test_keys_without_names(query: Any, said: str) -> None:
    with dm.MoveScu(NOWHERE) as mover, dm.FindScu(NOWHERE) as finder:
        for use in (lambda: mover.move_study(query, "STORE"), lambda: finder.find_studies(query)):
            with pytest.raises(IdentifierError, match=said) as raised:
                use()
            assert "000123" not in str(raised.value)
