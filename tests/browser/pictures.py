"""The pictures of the README and of the site's first page: the panel at work, and the flow of a cohort.

::

    python -m tests.browser.pictures

draws them from a run against a rehearsal PACS. `test_pictures.py` does the same, and compares what they show.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, sync_playwright

import dicomove as dm
from dicomove.report.flow import SIZE, draw_flow, flow
from dicomove.report.table import table_of
from dicomove.testing import RehearsalPacs, RunningPacs, Synthetic, faults
from tests.browser.lab import Cell, Notebook, chromium, running_lab, until

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
PANEL: Final = "panel.png"
FLOW: Final = "flow.png"
#: What a picture shows, as text in the file: a test compares it.
SHOWS: Final = "Description"

_STUDIES: Final = Synthetic(studies=48, instances=20, size=200_000)
_WIDTH: Final = 980
_SCALE: Final = 1.5
#: The panel is photographed when about so many rows are done.
_DONE: Final = 33

_SETUP: Final = """
import warnings
import dicomove as dm
warnings.simplefilter("ignore")
pacs = dm.Pacs({address!r})
receiver = dm.Receiver("images", ae_title="RESEARCH", port={port}, host="127.0.0.1")
print("ready")
"""
_CELL: Final = """cohort = dm.read_cohort("cohort.csv")
results = dm.retrieve(cohort, pacs, receiver)"""


def cohort() -> pd.DataFrame:
    """Fifty-four rows: studies that exist, four that do not, and two rows that name nothing."""
    numbers = [f"{number:06}" for number in (*range(1, 49), 9001, 9002, 9003, 9004)]
    return pd.DataFrame({"AccessionNumber": [*numbers, "", "*"]}, dtype=str)


@contextmanager
def archive(destinations: dict[str, tuple[str, int]], *, delay: float) -> Iterator[RunningPacs]:
    """A PACS that loses instances of two studies, refuses one, and takes its time."""
    uids = list(dict.fromkeys(one.study_instance_uid for one in _STUDIES.instances_of_all()))
    doings = [
        faults.Latency(seconds=delay),
        faults.SomeFail(studies=(uids[7], uids[19])),
        faults.OutOfResources(studies=(uids[11],)),
    ]
    with RehearsalPacs(_STUDIES, doings, destinations=destinations) as pacs:
        yield pacs


def draw_cohort_flow(folder: Path) -> Path:
    """Retrieve the cohort, and draw its flow."""
    receiver = dm.Receiver(folder / "images", port=0, host="127.0.0.1", quiet_period=0.2)
    with receiver, archive(receiver.as_destination(), delay=0) as pacs:
        results = dm.retrieve(cohort(), pacs, receiver, progress=False)
    steps = flow(table_of(results))
    figure = Figure(figsize=SIZE, facecolor="#FFFFFF")
    draw_flow(figure.add_axes((0, 0, 1, 1)), steps, len(cohort()), "#222222")
    told = [
        f"{one.name}: {one.rows} rows" + "".join(f"; {lost.rows} {lost.brief}" for lost in one.lost) for one in steps
    ]
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    path = folder / FLOW
    _save(Image.open(drawn), path, "\n".join(told))
    return path


def photograph_panel(folder: Path, browser: Browser) -> Path:
    """Retrieve the cohort in JupyterLab, and take a picture in the middle."""
    from tests import servers

    port = servers.free_port()
    work = folder / "lab"
    work.mkdir()
    cohort().to_csv(work / "cohort.csv", index=False)
    destinations = {"RESEARCH": ("127.0.0.1", port)}
    with running_lab(work, {"python": {}}) as address, archive(destinations, delay=0.004) as pacs:
        page = browser.new_page(viewport={"width": _WIDTH, "height": 900}, device_scale_factor=_SCALE)
        notebook = Notebook(page, address, work, "python")
        notebook.run(_SETUP.format(address=pacs.address, port=port)).prints("ready").ended()
        cell = notebook.run(_CELL)
        until(lambda: _rows(cell) >= _DONE and "instances/s" in cell.panel, "the middle of the run")
        picture, said = BytesIO(cell.screenshot()), cell.panel
        notebook.press_stop()
        cell.ended()
        page.close()
    path = folder / PANEL
    _save(Image.open(picture), path, shape(said))
    return path


def shape(text: str) -> str:
    """What a panel says, without its numbers, times and rows in flight, which differ from run to run."""
    text = re.sub(r" · about .*| in [^(\n]*(?=\()", "", text)
    lines = [re.sub(r"\d[\d.,]*", "0", line).strip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line and not re.match(r"row |and \d+ more in flight", line))


def shown(path: Path) -> str:
    """What a picture shows, as the file tells."""
    with Image.open(path) as image:
        image.load()
        return str(image.info[SHOWS])


def draw_all(folder: Path, browser: Browser) -> None:
    """Make both pictures anew in a folder."""
    with TemporaryDirectory() as scratch:
        for drawn in (draw_cohort_flow(Path(scratch)), photograph_panel(Path(scratch), browser)):
            (folder / drawn.name).write_bytes(drawn.read_bytes())


def _rows(cell: Cell) -> int:
    found = re.search(r"move: (\d+) of \d+ rows", cell.panel)
    return int(found[1]) if found else 0


def _save(image: Image.Image, path: Path, said: str) -> None:
    """Save a picture, and what it shows."""
    about = PngInfo()
    about.add_text(SHOWS, said)
    image.convert("RGB").save(path, pnginfo=about, optimize=True)


def main() -> int:
    """Draw the pictures of the documentation."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        draw_all(FOLDER, browser)
        browser.close()
    sys.stdout.write(json.dumps({name: shown(FOLDER / name) for name in (PANEL, FLOW)}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
