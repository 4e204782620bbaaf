"""Results that read themselves: the small table, the pictures, the page, the look at the images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

import dicomove as dm
from dicomove.receiver.manifest import manifest_of
from dicomove.report.flow import OUTCOMES, flow
from dicomove.report.methods import methods
from dicomove.report.pseudonyms import Pseudonyms
from dicomove.results import Row, result_table
from dicomove.testing import Synthetic, demo_pacs, faults
from dicomove.testing.faults.base import Fault, Refuse, Request
from tests import receiving

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
    table = pd.DataFrame({"StudyInstanceUID": [*UIDS, "", "1.2.3"], "AccessionNumber": "A1"})
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, *present, source=SOURCE) as pacs:
        yield dm.move(table, pacs, receiver, progress=False), folder


def test_the_flow_loses_no_row(run: tuple[pd.DataFrame, Path]) -> None:
    steps = flow(run[0])
    assert [step.rows for step in steps] == [14, 13, 12, 9, 6]
    assert sum(count for step in steps for _, count in step.lost) == 14 - 6


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
    assert table["advice"].str.contains("short of resources").sum() == 1
    assert table["instances"].iloc[:-1].sum() == table["instances"].iloc[-1]
    pd.testing.assert_frame_equal(dm.summary(run[1]), table)


def test_what_is_no_result_table_is_said() -> None:
    for ask in (dm.summary, dm.plot):
        with pytest.raises(ValueError, match="result table"):
            ask(pd.DataFrame({"x": [1]}))


def test_a_plot_shows_the_numbers(run: tuple[pd.DataFrame, Path]) -> None:
    figure = dm.plot(run[0])
    flow_axis, throughput, durations, hours = figure.axes
    texts = [text.get_text() for text in flow_axis.texts]
    assert "Rows of the cohort: 14" in texts
    assert "Complete: 6" in texts
    assert throughput.get_ylabel() == "instances per second"
    assert "seconds since" in throughput.get_xlabel()
    assert "MiB" in durations.get_xlabel()
    assert sum(bar.get_bbox().height for bar in hours.patches if isinstance(bar, Rectangle)) == 13
    assert {text.get_text() for text in figure.legends[0].get_texts()} == set(run[0]["outcome"])
    figure.savefig(run[1] / "plot.png")


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
                outcome=draw(st.sampled_from(OUTCOMES)),
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


@settings(max_examples=8)
@given(table=odd_tables())
def test_any_table_has_a_summary_a_plot_and_a_page(
    tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame
) -> None:
    assert dm.summary(table)["rows"].iloc[-1] == len(table)
    page = dm.report(table, tmp_path_factory.mktemp("page") / "r.html", pseudonymize=False).read_text()
    assert "<i>" not in page
    assert "<b>" not in page
    assert (
        flow(table)[-1].rows
        == table["outcome"].isin(["complete", "skipped"]).sum()
        - (table["outcome"].isin(["complete", "skipped"]) & (table["error"] == "no_match")).sum()
    )


MARK = "XYZZY"


class SaysWho(Fault):
    """A PACS whose Error Comment names a patient."""

    def on_request(self, _: Request) -> None:
        raise Refuse(0xC001, f"{MARK}4 is not there")


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
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, says, fails, source=SOURCE) as pacs:
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
    open_page = dm.report(results, tmp_path / "open.html", pseudonymize=False).read_text()
    assert MARK in open_page
    assert UIDS[1] in open_page


def test_a_page_needs_no_network(run: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    page = dm.report(run[1], tmp_path / "report.html").read_text()
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "CONSORT" not in page
    for expected in ("Of 14 requested entries, 6 (42.9 %) were retrieved completely", "pynetdicom", "DICOMOVE"):
        assert expected in page
    assert not list(tmp_path.glob(".*part"))


def test_pseudonyms_are_linkable_with_a_key_only(run: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    pages = [
        set(re.findall(r"row [0-9a-f]{10}", dm.report(run[0], tmp_path / f"{n}.html", key=key).read_text()))
        for n, key in enumerate(["secret", b"secret", "other", None, None])
    ]
    assert pages[0] == pages[1]
    assert len(pages[0]) == 8
    assert all(not (pages[0] & other) for other in pages[2:])
    assert not pages[3] & pages[4]
    assert len(Pseudonyms("k").uid("1.2.3")) <= 64


def test_the_methods_paragraph_says_how_it_was_checked(run: tuple[pd.DataFrame, Path]) -> None:
    verified = methods(run[0], {})
    assert "files on disk" in verified
    assert "files on disk" not in methods(run[0].assign(received=pd.array([None] * 14, dtype="Int64")), {})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[pd.DataFrame, Path]]:
    """Real images."""
    folder = tmp_path_factory.mktemp("real")
    with receiving.receiver(folder) as receiver, demo_pacs(destinations=receiver.as_destination()) as pacs:
        cohort = dm.read_cohort(Path(__file__).parents[1] / "datasets" / "demo_cohort.csv")
        yield dm.move(dm.find(cohort, pacs, progress=False), pacs, receiver, progress=False), folder


def test_a_preview_has_a_tile_for_each_series(images: tuple[pd.DataFrame, Path]) -> None:
    results, folder = images
    figure = dm.preview(folder)
    shown = [axis for axis in figure.axes if axis.get_title()]
    assert len(shown) == 17
    assert sum(bool(axis.images) for axis in shown) >= 11
    assert sum("no image" in text.get_text() for axis in shown for text in axis.texts) >= 4
    assert {axis.get_title().split(",")[0] for axis in shown} >= {"CT", "MR", "US"}
    same = dm.preview(results, folder=folder)
    assert len([axis for axis in same.axes if axis.get_title()]) == 17
    few = dm.preview(folder, most=3)
    assert "14 more are not shown" in str(few.get_suptitle())


def test_what_is_missing_is_shown_as_such(images: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    figure = dm.preview(manifest_of(images[1]), folder=tmp_path, most=2)
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == ["missing", "missing"]
    with pytest.raises(ValueError, match="folder"):
        dm.preview(images[0])


def test_a_preview_of_nothing(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path):
        assert dm.preview(tmp_path).get_suptitle() == "0 series, 0 instances"
