"""The documentation as a site: the pages of `docs/`, and each notebook with what a run of it printed and drew.

::

    python -m tests.site FOLDER

runs the notebooks and builds the site. `test_notebooks.py` builds it from the notebooks that it has run.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests import forks

ROOT: Final = Path(__file__).parents[1]
NOTEBOOKS: Final = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: What a notebook writes for a reader, and its page links.
_WRITTEN: Final = ("report.html",)
#: Says of a cell that it is a test's, and not the notebook's.
PROBE: Final = "probe"
#: What pandas says of the looks of a table: the site's own style is for tables without any.
_LOOKS: Final = re.compile(r'<style scoped>.*?</style>\s*|(?<=<table) border="1" class="dataframe"', re.DOTALL)
#: Not pyplot and ipywidgets, which ask for the kernel when they are imported.
_LOADED: Final = ("ipykernel.kernelapp", "matplotlib.backends.backend_agg", "dicomove.testing")
_OUR_ADDRESS: Final = "198.51.100.23"


@dataclass(frozen=True)
class Executed:
    """A notebook after its run, and where it ran."""

    path: Path
    notebook: Any
    folder: Path


def execute(path: Path, where: str, checkout: Path, probes: Iterable[str] = ()) -> Executed:
    """Run a notebook, and cells of a test after it, in a copy of what it reads: what it writes is not left behind."""
    shutil.copytree(ROOT / "datasets", checkout / "datasets")
    folder = checkout / where
    folder.mkdir(exist_ok=True)
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
    for probe in probes:
        cell = nbformat.v4.new_code_cell(probe, metadata={"tags": [PROBE]})  # type: ignore[no-untyped-call]
        notebook.cells.append(cell)
    where_it_runs = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=90, resources=where_it_runs, kernel_manager_class=KernelWithoutPorts)
    asyncio.run(client.async_execute())
    return Executed(path, notebook, folder)


class KernelWithoutPorts(AsyncKernelManager):
    """Starts a kernel that speaks through files.

    Jupyter picks the ports of a kernel some time before the kernel takes them, so that another test may have got one.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transport, self.ip = "ipc", f"{tempfile.gettempdir()}/kernel-{uuid4().hex}"

    async def start_kernel(self, **options: Any) -> Any:  # type: ignore[override]  # it is an attribute there
        """Start a kernel."""
        # ipykernel would set it, but matplotlib reads it when it is imported, which is before the kernel is.
        environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        return await super().start_kernel(env=environment, **options)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command of the kernel, which has loaded what does not depend on being in a kernel."""
        _, *arguments = super().format_kernel_cmd(extra_arguments)
        return forks.python(*arguments, loaded=_LOADED)


def pages(executed: Iterable[Executed], staging: Path) -> None:
    """Put together what the site is built from: the pages of docs/, and one page for each notebook."""
    shutil.copytree(ROOT / "docs", staging / "docs")
    shutil.copy(ROOT / "mkdocs.yml", staging)
    for page in (staging / "docs").rglob("*.md"):
        page.write_text(links_to_pages(page.read_text(encoding="utf-8")), encoding="utf-8")
    target = staging / "docs" / "notebooks"
    target.mkdir()
    for one in executed:
        write_page(one, target)


def links_to_pages(text: str) -> str:
    """Let links to notebooks lead to their pages.

    Examples
    --------
    >>> links_to_pages("[how](../../notebooks/01_quickstart.ipynb)")
    '[how](../notebooks/01_quickstart.md)'
    """
    return re.sub(r"\]\(\.\./((?:\.\./)*notebooks/\w+)\.ipynb\)", r"](\1.md)", text)


def write_page(one: Executed, target: Path) -> None:
    """Write a notebook as a page, its pictures beside it, and what it wrote for its readers."""
    from nbconvert import MarkdownExporter

    notebook = one.notebook.copy()
    notebook.cells = [cell for cell in notebook.cells if PROBE not in cell.metadata.get("tags", ())]
    resources = {"output_files_dir": f"{one.path.stem}_files", "unique_key": one.path.stem}
    exporter: Any = MarkdownExporter()  # type: ignore[no-untyped-call]  # nbconvert has few types
    text, made = exporter.from_notebook_node(notebook, resources=resources)
    for name, content in made["outputs"].items():
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_bytes(content)
    text = _LOOKS.sub("", text).replace("](../docs/", "](../")
    (target / f"{one.path.stem}.md").write_text(without_machine(text, one.folder), encoding="utf-8")
    for name in _WRITTEN:
        if (one.folder / name).exists():
            shutil.copy(one.folder / name, target)


def without_machine(text: str, folder: Path) -> str:
    """Leave out of outputs what only the machine that ran the notebook has: folders, its address, numbers of cells.

    Examples
    --------
    >>> print(without_machine("/x/ipykernel_7/12.py:8: FindWarning: 3 rows", Path("/run/notebooks")))
    FindWarning: 3 rows
    >>> print(without_machine("Receiver('/run/notebooks/images')", Path("/run/notebooks")))
    Receiver('images')
    """
    text = re.sub(r"\S*/ipykernel_\d+/\d+\.py:\d+: ", "", text)
    text = text.replace(f"{folder}/", "").replace(str(folder), ".")
    text = re.sub(re.escape(tempfile.gettempdir()) + r"/\w+", "scratch", text)
    for address in addresses():
        text = re.sub(rf"(?<![\d.]){re.escape(address)}(?![\d.])", _OUR_ADDRESS, text)
    return text


def addresses() -> list[str]:
    """Return the addresses of this machine that others can see."""
    import psutil

    every = [one for ones in psutil.net_if_addrs().values() for one in ones if one.family == socket.AF_INET]
    return [one.address for one in every if not one.address.startswith("127.")]


def build(staging: Path, target: Path) -> None:
    """Build the site; a link that leads nowhere is an error."""
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    built = subprocess.run(command, cwd=staging, capture_output=True, text=True, check=False)
    if built.returncode:
        raise AssertionError(built.stdout + built.stderr)
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(staging / "site", target)


def main(target: str) -> None:
    """Run the notebooks and build the site."""
    with tempfile.TemporaryDirectory() as scratch:
        checkouts = [Path(tempfile.mkdtemp(dir=scratch)) for _ in NOTEBOOKS]
        runs = [execute(path, "notebooks", where) for path, where in zip(NOTEBOOKS, checkouts, strict=True)]
        pages(runs, Path(scratch, "staging"))
        build(Path(scratch, "staging"), Path(target))


if __name__ == "__main__":
    main(*sys.argv[1:])
