"""Results that read themselves: the small table, the pictures, the page, the look at the images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch, Rectangle, StepPatch
from nbclient import NotebookClient
from pydicom.dataset import Dataset

import dicomove as dm
from dicomove.report.flow import cohort_rows, flow
from dicomove.report.page import methods
from dicomove.report.table import table_of
from dicomove.results import Row, result_table
from dicomove.store import Journal, Pseudonyms
from dicomove.testing import Synthetic, faults
from dicomove.testing.faults.base import Fault, Refuse, Request
from dicomove.words import ADVICE, MOVE_OUTCOMES as OUTCOMES
from tests import journals, receiving, site

mpl.use("agg")
NOW = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
SOURCE = Synthetic(studies=12, instances=4, size=512)
UIDS = receiving.studies(SOURCE, 12)["StudyInstanceUID"].tolist()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[pd.DataFrame, Path]]:
    """A run in which many things went wrong, and its folder."""
    folder = tmp_path_factory.mktemp("images")
    present = [
        faults.OutOfResources(studies=tuple(UIDS[:2])),
        faults.LosesInstances(studies=tuple(UIDS[2:5])),
        faults.ClosesAtResponse(response=2, studies=(UIDS[5],)),
    ]
    table = pd.DataFrame({"StudyInstanceUID": [*UIDS, "", "1.2.3"], "ward": "A1"})
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, *present, source=SOURCE) as pacs:
        yield dm.move(table, pacs, receiver, progress=False), folder


def test_the_flow_loses_no_row(run: tuple[pd.DataFrame, Path]) -> None:
    steps = flow(table_of(run[0]))
    # Two rows failed before anybody had counted what they hold.
    names = ["Rows of the table", "Found, or not ruled out", "Moved, all or in part", "Complete"]
    assert [step.name for step in steps] == names
    assert [step.rows for step in steps] == [14, 12, 10, 6]
    assert [step.studies for step in steps] == [13, 12, 10, 6]
    assert [step.instances for step in steps] == [None, None, int(run[0]["received"].sum()), 24]
    assert [(loss.brief, loss.rows) for step in steps for loss in step.lost] == [
        ("invalid", 1),
        ("empty", 1),
        ("failed: out of resources", 2),
        ("partial: missing instances", 3),
        ("interrupted: connection lost", 1),
    ]


def test_rows_without_a_match_are_not_found(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        found = dm.find(pd.DataFrame({"PatientID": ["SYN000001", "NOBODY"]}), pacs, progress=False)
        results = dm.move(found, pacs, receiver, progress=False)
    assert results["outcome"].tolist() == ["complete", "empty"]
    _, second, *_ = flow(table_of(results))
    assert (second.name, second.instances) == ("Found in the PACS", 4)
    assert [loss.reason for loss in second.lost] == ["C-FIND found nothing for it"]
    assert cohort_rows(table_of(results)) == 2


@pytest.mark.parametrize("level", ["STUDY", "PATIENT"])
def test_instances_of_several_rows_count_once(tmp_path: Path, level: str) -> None:
    """Each row is right to say what it brought, and their sum would be wrong."""
    source = Synthetic(studies=2, instances=2, size=512, patients=1)
    uids = receiving.studies(source, 2)["StudyInstanceUID"].tolist()
    rows = uids if level == "PATIENT" else [uids[0], uids[0], uids[1]]
    table = pd.DataFrame({"PatientID": "SYN000001", "StudyInstanceUID": rows})
    folder = tmp_path / "images"
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, source=source) as pacs:
        results = dm.move(table, pacs, receiver, level=level, query_model="PatientRoot", progress=False)
    assert int(results["received"].sum()) > 4
    assert dm.summary(results)[["rows", "instances"]].iloc[-1].tolist() == [len(rows), 4]
    assert flow(table_of(results))[-1].instances == 4
    assert "In all, 4 instances were received" in methods(table_of(results), {})
    results.to_csv(tmp_path / "results.csv")
    again = dm.summary(pd.read_csv(tmp_path / "results.csv", index_col=0))
    pd.testing.assert_frame_equal(again, dm.summary(results))


def test_a_journal_knows_which_rows_shared_a_move(tmp_path: Path) -> None:
    """The times say nothing here: three rows began and ended together, and two of them are one move."""
    row = journals.COMPLETE._replace(finished_at=journals.AT + timedelta(seconds=1))
    with Journal.open(tmp_path / "night.sqlite") as journal:
        run = journal.begin(journals.FACTS, journals.rows(1, 1, 2, None))
        journal.add(run, [journals.reading(1, row), journals.reading(2, row)])
    assert flow(table_of(tmp_path / "night.sqlite"))[-1].instances == 4


def test_absent_counts_are_null_and_not_zero() -> None:
    rows = [Row(outcome="failed", completed=0), Row(outcome="unconfirmed")]
    counted = dm.summary(result_table(pd.DataFrame(index=range(2)), rows))["instances"]
    assert pd.isna(counted.loc[("unconfirmed", "")])
    assert counted.loc[("failed", "")] == 0


def test_a_summary_has_each_advice_once(run: tuple[pd.DataFrame, Path]) -> None:
    table = dm.summary(run[0])
    assert table["rows"].to_dict() == {
        ("complete", ""): 6,
        ("partial", "missing_instances"): 3,
        ("empty", ""): 1,
        ("failed", "out_of_resources"): 2,
        ("interrupted", "connection_lost"): 1,
        ("invalid", "invalid_row"): 1,
        ("all", ""): 14,
    }
    assert table.loc[("partial", "missing_instances"), "first_rows"] == "2, 3, 4"
    assert table["advice"].str.contains("is overloaded").sum() == 1
    assert table["instances"].iloc[:-1].sum() == table["instances"].iloc[-1]
    pd.testing.assert_frame_equal(dm.summary(run[1]), table)


def test_a_page_is_written_though_a_cell_has_half_of_a_character(
    run: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    table = run[0].assign(note=pd.Series("cut \ud83d", index=run[0].index, dtype=object))
    page = dm.report(table, tmp_path / "page.html", pseudonymize=False)
    assert "cut ?" in page.read_text(encoding="utf-8")


def test_other_tables_are_refused() -> None:
    for ask in (dm.summary, dm.plot):
        with pytest.raises(ValueError, match="result table"):
            ask(pd.DataFrame({"x": [1]}))


def test_a_plot_shows_the_numbers(run: tuple[pd.DataFrame, Path]) -> None:
    figure = dm.plot(run[0])
    flow_axis, throughput, durations, hours = figure.axes
    texts = [text.get_text() for text in flow_axis.texts]
    for said in ("Rows of the table", "14 rows", "6 rows", "42.9 %", "2  failed: out of resources", "1  invalid"):
        assert said in texts
    assert throughput.get_ylabel() == "instances / s"
    assert "seconds since 20" in throughput.get_xlabel()
    assert (durations.get_xlabel(), durations.get_ylabel()) == ("size (MB)", "duration (s)")
    (stairs,) = [patch for patch in throughput.patches if isinstance(patch, StepPatch)]
    rates, edges, _ = stairs.get_data()
    # What is below the line is what arrived.
    assert float((rates * np.diff(edges)).sum()) == pytest.approx(int(run[0]["received"].sum()))
    assert sum(bar.get_bbox().height for bar in hours.patches if isinstance(bar, Rectangle)) == 13
    assert {text.get_text() for text in figure.subfigs[1].legends[0].get_texts()} == set(run[0]["outcome"])
    figure.savefig(run[1] / "plot.png")


def of_all_kinds(rows: int) -> pd.DataFrame:
    """Every outcome, long numbers, and each error that there is."""
    made = []
    for number in range(rows):
        outcome = OUTCOMES[number % len(OUTCOMES)]
        begun = None if outcome in ("invalid", "not_attempted") else NOW + timedelta(minutes=number)
        error = list(ADVICE)[number % len(ADVICE)] if outcome in ("failed", "partial", "unreachable") else None
        made.append(
            Row(
                outcome=outcome,  # type: ignore[arg-type]  # it is one of them
                error=error,
                expected=70_000,
                received=70_000 if outcome in ("complete", "partial") else 0,
                started_at=begun,
                finished_at=begun and begun + timedelta(seconds=9),
                duration_s=9.0 if begun else None,
            )
        )
    table = pd.DataFrame(
        {"PatientID": [f"P{n}" for n in range(rows)], "StudyInstanceUID": [f"1.2.{n}" for n in range(rows)]}
    )
    return result_table(table, made)


def test_no_label_is_cut_and_none_is_over_another() -> None:
    figure = dm.plot(of_all_kinds(1100))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    flow_axis = figure.axes[0]
    boxes = [patch.get_window_extent(renderer) for patch in flow_axis.patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == 4 + 3
    lines = [text.get_window_extent(renderer) for text in flow_axis.texts if text.get_text()]
    for box in boxes:
        inside = [line for line in lines if box.contains(*line.p0)]
        assert inside
        assert all(box.contains(*line.p1) for line in inside)
    assert [one for place, one in enumerate(lines) if one.count_overlaps(lines[place + 1 :])] == []
    (legend,) = figure.subfigs[1].legends
    assert {text.get_text() for text in legend.get_texts()} == set(OUTCOMES)
    for part in (legend, *figure.axes[1:]):
        extent = part.get_tightbbox(renderer)
        assert extent is not None
        assert all(figure.bbox.contains(*corner) for corner in extent.get_points())


def test_a_plot_of_many_rows_is_drawn_too(tmp_path: Path) -> None:
    count = 100_000
    generator = np.random.default_rng(1)
    starts = pd.Series([NOW] * count) + pd.to_timedelta(generator.uniform(0, 80_000, count), unit="s")
    rows = [Row(outcome="complete", received=5, bytes=5000, attempts=1)] * count
    table = result_table(pd.DataFrame(index=range(count)), rows)
    table["started_at"], table["duration_s"] = starts.to_numpy(), generator.gamma(2, 3, count)
    table["started_at"] = pd.to_datetime(table["started_at"], utc=True)
    table["finished_at"] = table["started_at"] + pd.to_timedelta(table["duration_s"], unit="s")
    figure = dm.plot(table)
    assert "hours since" in figure.axes[1].get_xlabel()
    figure.savefig(tmp_path / "many.png")


@st.composite
def odd_tables(draw: st.DrawFn) -> pd.DataFrame:
    made = []
    for _ in range(draw(st.integers(0, 6))):
        seconds = draw(st.sampled_from([None, 0.0, 0.01, 3.0, 90_000.0]))
        started = None if seconds is None else NOW + timedelta(hours=draw(st.integers(0, 30)))
        number = draw(st.sampled_from([None, 0, 1, 70_000]))
        made.append(
            Row(
                outcome=draw(st.sampled_from([*OUTCOMES, "$new_word"])),
                error=draw(st.sampled_from([None, "no_match", "idle_timeout", "a new word"])),
                advice=draw(st.sampled_from([None, "<b>bold</b>"])),
                received=number,
                bytes=number,
                started_at=started,
                finished_at=None if started is None or seconds is None else started + timedelta(seconds=seconds),
                duration_s=seconds,
            )
        )
    return result_table(pd.DataFrame(index=[f"<i>{n}</i>" for n in range(len(made))]), made)


@settings(max_examples=6)
@given(table=odd_tables())
def test_any_table_has_a_summary_a_plot_and_a_page(
    tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame
) -> None:
    assert dm.summary(table)["rows"].iloc[-1] == len(table)
    page = dm.report(table, tmp_path_factory.mktemp("page") / "r.html", pseudonymize=False).read_text()
    assert "<i>" not in page
    assert "<b>" not in page
    steps = flow(table_of(table))
    assert steps[-1].rows == table["outcome"].eq("complete").sum()
    assert steps[0].rows - steps[-1].rows == sum(loss.rows for step in steps for loss in step.lost)


MARK = "XYZZY"


class SaysWho(Fault):
    """A PACS whose Error Comment names a patient."""

    def on_request(self, _: Request) -> None:
        raise Refuse(0xC001, f"{MARK}4 is not there")


class TellsNoKeys(faults.FindWithoutPatientId):
    """A PACS that tells neither whose a study is, nor its accession number: what the rows have is not compared."""

    def _change(self, request: Request, match: Dataset) -> None:
        super()._change(request, match)
        match.PatientName = match.AccessionNumber = ""


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """The folder of a run in which every identifier that there can be has a mark."""
    uids = [*UIDS[:2], "1.2.77777", ""]
    table = pd.DataFrame(
        {
            "StudyInstanceUID": uids,
            "PatientID": f"{MARK}1",
            "PatientName": f"{MARK}^Jane",
            "AccessionNumber": f"{MARK}2",
            "path": f"/home/{MARK}/x.dcm",
        },
        index=pd.MultiIndex.from_tuples([(f"{MARK}3", n) for n in range(4)]),
    )
    folder = tmp_path / MARK
    says = SaysWho(studies=(UIDS[0],))
    fails = faults.SomeFail(studies=(UIDS[1],))
    with (
        receiving.receiver(folder) as receiver,
        # A PACS that told whose its studies are would have none of these rows moved.
        receiving.pacs(receiver, says, fails, TellsNoKeys(), source=SOURCE) as pacs,
        pytest.warns(dm.errors.ReceiverWarning, match="another PatientID than they name"),  # each row has the mark
    ):
        results = dm.move(table, pacs, receiver, progress=False, verify="counts")
    assert MARK in results.to_csv()
    return folder


@pytest.mark.parametrize("source", ["journal", "table"])
def test_nothing_of_a_patient_is_on_the_page(marked: Path, tmp_path: Path, source: str) -> None:
    results: Any = marked if source == "journal" else dm.read_journal(marked)
    page = dm.report(results, tmp_path / "report.html").read_text()
    assert MARK not in page
    for uid in [*UIDS[:2], "1.2.77777"]:
        assert uid not in page
    assert str(tmp_path) not in page
    open_page = dm.report(results, tmp_path / "open_2026.11", pseudonymize=False).read_text()
    assert MARK in open_page
    assert UIDS[1] in open_page


def test_words_that_are_none_of_ours_are_not_on_the_page(tmp_path: Path) -> None:
    """A table may come from anywhere, and hold anything."""
    names = ["StudyInstanceUID", "PatientID", "AccessionNumber", f"{MARK}a"]
    table = pd.DataFrame([["1.2.3", f"{MARK}b", f"{MARK}c", f"{MARK}d"]], columns=names, index=[f"{MARK}e"])
    for name in ("outcome", "status", "error", "advice", "error_comment", "failed_sop_instance_uids", "started_at"):
        table[name] = f"{MARK}{name}"
    page = dm.report(table, tmp_path / "report.html").read_text()
    assert MARK not in page
    assert "PatientID, AccessionNumber, and 1 more" in page
    everything = dm.report(table, tmp_path / "open.html", pseudonymize=False).read_text()
    for said in ("a", "b", "c", "d", "e", "error", "advice", "error_comment"):
        assert f"{MARK}{said}" in everything


def test_the_hash_of_a_cohort_is_keyed(marked: Path, tmp_path: Path) -> None:
    """Of one patient with six digits, a million guesses find the number."""
    plain = dm.read_journal(marked).attrs["run"]["cohort_sha256"]
    pages = [dm.report(marked, tmp_path / "report.html", key=key).read_text() for key in ("a", "a", "b")]
    assert all(plain not in page for page in pages)
    first, again, other = (re.findall(r"\b[0-9a-f]{64}\b", page) for page in pages)
    assert len(first) == 1
    assert first == again != other
    assert plain in dm.report(marked, tmp_path / "open.html", pseudonymize=False).read_text()


def test_a_key_is_not_empty() -> None:
    with pytest.raises(ValueError, match="empty"):
        Pseudonyms("")


def test_a_notebook_shows_the_pictures_once(tmp_path: Path) -> None:
    table = result_table(pd.DataFrame(index=range(2)), [Row(outcome="complete"), Row(outcome="failed")])
    table.to_pickle(tmp_path / "results.pkl")
    made = f"import dicomove as dm, pandas as pd\nresults = pd.read_pickle({str(tmp_path / 'results.pkl')!r})\n"
    notebook: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]  # nbformat has no types here
    notebook.cells = [nbformat.v4.new_code_cell(f"{made}dm.plot(results)")]  # type: ignore[no-untyped-call]  # as above
    NotebookClient(notebook, timeout=60, kernel_manager_class=site.KernelWithoutPorts).execute()
    kinds = [kind for output in notebook.cells[0].outputs for kind in output.get("data", {})]
    assert kinds.count("image/png") == 1


def test_a_page_needs_no_network(run: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    page = dm.report(run[1], tmp_path / "report.html").read_text()
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "CONSORT" not in page
    for expected in ("Of 14 requested entries, 6 (42.9 %) were retrieved completely", "pydicom", "DICOMOVE"):
        assert expected in page
    assert not list(tmp_path.glob(".*part"))


def test_pseudonyms_are_linkable_with_a_key_only(run: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    pages = [
        set(re.findall(r"row [0-9a-f]{10}", dm.report(run[0], tmp_path / f"{n}.html", key=key).read_text()))
        for n, key in enumerate(["secret", b"secret", None, None])
    ]
    assert pages[0] == pages[1]
    assert len(pages[0]) == 8
    assert all(not (pages[0] & other) for other in pages[2:])
    assert not pages[2] & pages[3]
    assert len(Pseudonyms("k").uid("1.2.3")) <= 64


def test_the_methods_paragraph_says_how_it_was_checked(run: tuple[pd.DataFrame, Path]) -> None:
    verified = methods(table_of(run[0]), {})
    assert "files on disk" in verified
    assert "files on disk" not in methods(table_of(run[0].drop(columns="received")), {})


def test_the_method_of_a_run_is_told(run: tuple[pd.DataFrame, Path]) -> None:
    move, get = "DICOM C-MOVE (PS3.4 C.4.2) by", "DICOM C-GET (PS3.4 C.4.3) by"
    assert move in methods(table_of(run[0]), {})
    by_get = run[0].assign(method="get", outcome="failed", error="not_authorized")
    assert get in methods(table_of(by_get), {})
    assert "C-MOVE (PS3.4 C.4.2) or C-GET" in methods(table_of(run[0].assign(method=["move"] + ["get"] * 13)), {})
    # A journal tells it once, for the whole run.
    journal = run[0].copy()
    journal.attrs["run"] = {"options": {"method": "auto"}}
    assert "C-MOVE (PS3.4 C.4.2) or C-GET" in methods(table_of(journal), {})
    told = [str(dm.summary(table)["advice"].iloc[0]) for table in (by_get, by_get.assign(method="move"))]
    assert told[0] != told[1]
    assert "C-GET" in told[0]


def test_series_that_are_volumes_are_counted(tmp_path: Path) -> None:
    results = pd.DataFrame(
        {"StudyInstanceUID": ["1", "2", "2", None], "outcome": ["complete", "partial", "complete", "failed"]}
    )
    series = pd.DataFrame(
        {
            "StudyInstanceUID": ["1", "1", "2", "3", "3", None],
            "SeriesInstanceUID": ["1.1", "1.2", "2.1", "3.1", "3.1", None],
            "is_volume": pd.array([True, False, True, True, True, None], dtype="boolean"),
        }
    )
    found = dm.summary(results, series=series)[["series", "volumes"]]
    told = {str(key[0]): tuple(line) for key, line in found.astype(object).iterrows() if isinstance(key, tuple)}
    assert told["complete"] == (3, 2)
    assert told["partial"] == (1, 1)
    assert told["all"] == (4, 3)
    assert found.isna().any(axis="columns").tolist() == [False, False, True, False]
    page = dm.report(results, tmp_path / "page.html", series=series).read_text(encoding="utf-8")
    assert "volumes" in page
    assert "volumes" not in dm.report(results, tmp_path / "bare.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="one row per series"):
        dm.summary(results, series=results)


def test_a_row_that_names_a_series_counts_that_series() -> None:
    results = pd.DataFrame(
        {
            "PatientID": ["a", "a", "b", "c"],
            "StudyInstanceUID": ["1", "1", None, None],
            "SeriesInstanceUID": ["1.1", "1.2", None, None],
            "cohort_row": [0, 0, 1, 2],
            "outcome": ["complete", "partial", "failed", "empty"],
        }
    )
    series = pd.DataFrame(
        {
            "cohort_row": [0, 0, 1],
            "StudyInstanceUID": ["1", "1", "2"],
            "SeriesInstanceUID": ["1.1", "1.2", "2.1"],
            "is_volume": [True, False, True],
        }
    )
    found = dm.summary(results, series=series)
    told = {str(key[0]): tuple(line) for key, line in found[["series", "volumes"]].iterrows() if isinstance(key, tuple)}
    assert told == {"complete": (1, 1), "partial": (1, 0), "failed": (1, 1), "empty": (0, 0), "all": (3, 2)}
    bare = dm.summary(results, series=series.drop(columns="cohort_row"))["series"]
    assert bare.isna().tolist() == [False, False, True, True, False]
    # Labels may be repeated: the series of a row that has one are not those of a row that found nothing.
    again = dm.summary(results.assign(cohort_row=[0, 0, 1, 0]), series=series)["series"]
    assert [key[0] for key in again.index[again.isna()]] == ["empty"]
