from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dicomove.testing import RehearsalPacs, faults
from dicomove.words import OUTCOME_COLOURS

if TYPE_CHECKING:
    from PIL.Image import Image

    from dicomove.testing import RunningPacs
    from tests.browser.lab import Cell, Notebook

# A browser and a JupyterLab take minutes to start beside other work.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

FOUND_THERE = """
there = dm.Pacs({address!r})
found = dm.find(pd.DataFrame({{"PatientID": ["SYN*"]}}), there, progress=False)
print(len(found), "there")
"""
MOVE = 'results = dm.move(studies, pacs, "REHEARSAL_STORE")'


def rows_done(cell: Cell) -> int:
    found = re.search(r"move: (\d+) of 12 rows", cell.panel)
    return int(found[1]) if found else 0


def share(picture: Image, outcome: str) -> float:
    """How much of a bar has an outcome's colour."""
    colour = tuple(bytes.fromhex(OUTCOME_COLOURS[outcome][1:]))
    line = [picture.getpixel((x, picture.height // 2)) for x in range(picture.width)]
    return line.count(colour) / len(line)


def bundles(cell: dict[str, Any]) -> list[dict[str, Any]]:
    return [output["data"] for output in cell["outputs"] if "data" in output]


def test_the_panel_moves_while_the_cell_runs(notebook: Notebook, pictures: Path) -> None:
    from tests.browser.lab import until

    cell = notebook.run(MOVE)
    seen: set[int] = set()

    def moved() -> bool:
        if cell.is_running:
            seen.add(rows_done(cell))
        return len(seen - {0, 12}) >= 3

    until(moved, "three states between the first and the last")
    cell.says("instances/s", "stop button")
    under_way = cell.picture(pictures / f"moving-{notebook.path.stem}.png")
    assert share(under_way, "complete") > 0.05
    cell.ended().says("12 of 12 rows", "10 complete", "1 partial", "1 failed")
    at_the_end = cell.picture(pictures / f"done-{notebook.path.stem}.png")
    for outcome, rows in {"complete": 10, "partial": 1, "failed": 1}.items():
        assert share(at_the_end, outcome) == pytest.approx(rows / 12, abs=0.02)
    assert cell.panels.count() == 1


def test_the_stop_button_gives_the_table_so_far(notebook: Notebook, pictures: Path) -> None:
    from tests.browser.conftest import STUDIES
    from tests.browser.lab import until

    # The fifth study takes 20 s: the stop button always meets it under way.
    fifth = list(STUDIES.instances_of_all())[20].study_instance_uid
    with RehearsalPacs(STUDIES, [faults.Latency(seconds=4, studies=(fifth,))]) as pacs:
        notebook.run(FOUND_THERE.format(address=pacs.address)).prints("12 there").ended()
        cell = notebook.run(MOVE.replace("studies, pacs", "found, there"))
        until(lambda: rows_done(cell) >= 4, "four rows")
        notebook.press_stop()
        cell.ended().says("stopped", "not attempted", "1 cancelled")
    cell.picture(pictures / f"stopped-{notebook.path.stem}.png")
    assert "InterruptedWarning" in cell.output
    counted = notebook.run("print(sorted(results.outcome))").prints("not_attempted")
    assert counted.output.count("'cancelled'") == 1


def test_the_saved_notebook_shows_the_end(notebook: Notebook) -> None:
    notebook.run(f"{MOVE[:-1]}, level='STUDY')").ended()
    notebook.run("print('below')").prints("below")
    *_, moved, below = notebook.saved()
    (bundle,) = bundles(moved)
    assert "move: 12 of 12 rows in" in "".join(bundle["text/html"])
    assert "10 complete, 1 partial, 1 failed" in "".join(bundle["text/plain"])
    assert [output["output_type"] for output in below["outputs"]] == ["stream"]


#: It takes long enough to be still there when a busy machine has drawn, found and pressed a few buttons.
JOB = 'job = dm.start_move(studies, pacs, "REHEARSAL_STORE", delay=2)'
BUSY = """
end = time.monotonic() + 20
print("busy")
while not job.paused and time.monotonic() < end:
    sum(range(1000))
print("it was paused" if job.paused else "it was not heard")
"""


def test_a_job_is_paused_and_cancelled_with_its_buttons(notebook: Notebook, pictures: Path) -> None:
    from tests.browser.lab import until

    cell = notebook.run(JOB).ended().says("1 of 12 rows")
    if notebook.path.stem == "newest":  # the oldest kernels hear a button when no cell is running
        busy = notebook.run(BUSY).prints("busy")
        cell.button("Pause").click()
        busy.prints("it was paused")
    else:
        cell.button("Pause").click()
    cell.says("Waits: paused, until you resume it")
    cell.picture(pictures / f"paused-{notebook.path.stem}.png")
    done = rows_done(cell)
    cell.button("Resume").click()
    until(lambda: rows_done(cell) > done, "more rows")
    assert "Waits" not in cell.panel
    cell.button("Cancel").click()
    cell.says("stopped", "not attempted")
    until(lambda: not cell.button("Cancel").count(), "the end of the buttons")
    cell.picture(pictures / f"cancelled-{notebook.path.stem}.png")
    notebook.run("print(job.wait().outcome.value_counts())").prints("not_attempted")
    assert cell.panels.count() == 1


def test_a_job_is_cancelled_without_a_mouse_and_heard_without_eyes(notebook: Notebook) -> None:
    cell = notebook.run(JOB).ended().says("1 of 12 rows")
    cell.button("Pause").focus()
    notebook.page.keyboard.press("Space")
    cell.says("Waits: paused, until you resume it")
    notebook.page.keyboard.press("Shift+Tab")
    assert notebook.page.evaluate("document.activeElement.innerText").strip() == "Cancel"
    notebook.page.keyboard.press("Enter")
    cell.says("stopped", "not attempted")
    bar = cell.panels.get_by_role("img")
    said = bar.get_attribute("aria-label") or ""
    assert re.fullmatch(r"(\d+ [a-z ]+, )*\d+ [a-z ]+", said)
    assert all(one in cell.panel for one in said.split(", "))  # what the colours say, the words say, too


def test_two_jobs_stay_under_their_cells(notebook: Notebook) -> None:
    first, between = notebook.run(JOB), notebook.run("print('next')").prints("next")
    other = notebook.run(f"other_{JOB}")
    first.says("2 of 12 rows")
    first.button("Cancel").click()
    first.says("stopped")
    done = rows_done(other)
    other.says(f"{done + 1} of 12 rows").button("Cancel").click()
    other.says("stopped")
    notebook.run("print(len(job.wait()) + len(other_job.wait()))").prints("24")
    *_, job, below, _, _ = notebook.saved()
    assert between.output.strip() == "next"
    assert between.panels.count() == 0
    assert ["".join(output["text"]) for output in below["outputs"]] == ["next\n"]
    shown = ["".join(bundle["text/plain"]) for bundle in bundles(job)]
    assert shown[0].startswith("move: ")
    assert "stopped" in shown[0]
    assert shown[1:] == [""]  # where the buttons were


def test_a_kernel_that_is_restarted_goes_on_where_it_was(notebook: Notebook, slow_pacs: RunningPacs) -> None:
    from tests.browser.conftest import SETUP
    from tests.browser.lab import until

    journaled = f"{MOVE[:-1]}, journal='{notebook.path.stem}.sqlite')"
    cell = notebook.run(journaled)
    until(lambda: rows_done(cell) >= 4, "four rows")
    notebook.restart()
    notebook.run(SETUP.format(address=slow_pacs.address)).prints("12 studies").ended()
    again = notebook.run(journaled).ended().says("12 of 12 rows", "complete from an earlier run")
    counted = notebook.run("print(results[['resumed', 'outcome']].value_counts().to_dict())").prints("True, 'complete'")
    triples = re.findall(r"\((True|False), '(\w+)'\): (\d+)", counted.output)
    found = {(resumed, outcome): int(count) for resumed, outcome, count in triples}
    assert found["True", "complete"] >= 3
    assert found["True", "complete"] + found["False", "complete"] == 10
    assert (found["False", "partial"], found["False", "failed"]) == (1, 1)
    assert again.panels.count() == 1
