"""One JupyterLab, one browser, and one notebook for each kernel, shared by all tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dicomove.testing import RehearsalPacs, RunningPacs, Synthetic, faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.lab import Notebook

#: Without the extra `browser` the tests are skipped, and nothing is imported in search of doctests.
collect_ignore = [] if find_spec("playwright") and find_spec("PIL") else ["lab.py", "looks.py", "pictures.py"]

#: The oldest kernel that is supported. The newest is the one that is installed.
OLDEST = "6.29.5"
STUDIES = Synthetic(studies=12, instances=5, size=512)

SETUP = """
import time
import pandas as pd
import dicomove as dm

pacs = dm.Pacs({address!r})
studies = dm.find(pd.DataFrame({{"PatientID": ["SYN*"]}}), pacs, progress=False)
print(len(studies), "studies")
"""


@pytest.fixture(scope="session")
def oldest_kernel(request: pytest.FixtureRequest) -> Path:
    """A folder with the oldest ipykernel, to be found before the installed one: quicker than an environment."""
    folder = Path(request.config.cache.mkdir(f"ipykernel-{OLDEST}"))
    if not (folder / "ipykernel").is_dir():
        packages = [f"ipykernel=={OLDEST}", "nest_asyncio"]
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, *packages], check=True)
    return folder


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, oldest_kernel: Path) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab, and its folder."""
    from tests.browser.lab import running_lab

    folder = tmp_path_factory.mktemp("lab")
    with running_lab(folder, {"newest": {}, "oldest": {"PYTHONPATH": str(oldest_kernel)}}) as address:
        yield address, folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if collect_ignore:
        pytest.skip("the extra `browser` is not installed")
    from playwright.sync_api import sync_playwright

    from tests.browser.lab import chromium

    if (found := chromium()) is None:
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        yield playwright.chromium.launch(executable_path=found, args=arguments)


@pytest.fixture(scope="session")
def slow_pacs() -> Iterator[RunningPacs]:
    """A PACS that takes its time, stores one study in part, and fails for another."""
    partial, failed = (instance.study_instance_uid for instance in list(STUDIES.instances_of_all())[5:15:5])
    doings = [
        faults.Latency(seconds=0.05),
        faults.SomeFail(studies=(partial,)),
        faults.OutOfResources(studies=(failed,)),
    ]
    with RehearsalPacs(STUDIES, doings) as pacs:
        yield pacs


@pytest.fixture(scope="session", params=["newest", "oldest"])
def notebook(
    request: pytest.FixtureRequest, browser: Browser, lab: tuple[str, Path], slow_pacs: RunningPacs
) -> Iterator[Notebook]:
    """A notebook with this kernel, in which the studies have been found."""
    from tests.browser.lab import Notebook

    page = browser.new_page(viewport={"width": 1200, "height": 1600})
    opened = Notebook(page, *lab, request.param)
    setup = opened.run(SETUP.format(address=slow_pacs.address))
    setup.prints("12 studies").ended()
    yield opened
    page.close()


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path:
    """Where pictures are kept for a person to look at."""
    return Path(request.config.cache.mkdir("pictures"))
