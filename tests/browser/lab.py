"""JupyterLab in a headless Chromium: a notebook whose cells are run as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Error, Locator, Page, TimeoutError as WaitedInVain

#: Without news and their pop-ups; with all cells in the page, also those that are not on the screen.
SETTINGS = {
    "config/labconfig/page_config.json": {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}},
    "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
}

#: The longest wait for each of the two steps of opening a notebook, in seconds.
OPENING_S = 65

IS_OPEN = "window.jupyterapp?.shell?.currentWidget?.sessionContext != null"
SHOWN = "() => [...(window.jupyterapp?.shell?.widgets('main') ?? [])].map(widget => widget.title.label)"

# "Idle" in the status bar comes too early: a cell that is run before all of these is lost.
# It returns what has not come in time.
READY = """async seconds => {
    let awaited = 'the notebook';
    const ready = async () => {
        const panel = window.jupyterapp.shell.currentWidget;
        await panel.context.ready;
        awaited = 'the view of the notebook';
        await panel.revealed;
        awaited = 'the session';
        await panel.sessionContext.ready;
        awaited = 'the answer of the kernel';
        await panel.sessionContext.session.kernel.info;
        awaited = null;
    };
    await Promise.race([ready(), new Promise(resolve => setTimeout(resolve, seconds * 1000))]);
    return awaited;
}"""

ADD_AND_RUN = """source => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.model.sharedModel.addCell({cell_type: 'code', source, metadata: {trusted: true}});
    notebook.activeCellIndex = notebook.widgets.length - 1;
    notebook.deselectAll();
    void window.jupyterapp.commands.execute('notebook:run-cell');
    return notebook.activeCellIndex;
}"""


def until(condition: Callable[[], Any], what: str, seconds: float = 30, seen: Callable[[], str] = str) -> Any:
    """Wait for a condition, and return what it gives; a failure says what was seen instead."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for: {what}; seen: {seen()!r}"
        time.sleep(0.02)
    return found


@contextmanager
def running_lab(folder: Path, kernels: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """JupyterLab over a folder, with kernels by name that have these variables; yields its address."""
    settings = SETTINGS | {
        f"data/kernels/{name}/kernel.json": {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "env": variables,
        }
        for name, variables in kernels.items()
    }
    for path, content in settings.items():
        target = folder / "jupyter" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content))
    home = folder / "jupyter"
    places = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(home / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    command += [f"--ServerApp.root_dir={folder}"]
    environment = os.environ | places | {"IPYTHONDIR": str(home / "ipython")}
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            began = f"JupyterLab, see {log.name}"
            told = until(lambda: next((home / "runtime").glob("jpserver-*.json"), None), began, 120)
            url = until(lambda: told.read_text() and json.loads(told.read_text())["url"], "its address", 120)
            address = url.rstrip("/")
            until(lambda: answers(f"{address}/api"), "an answer of JupyterLab", 120)
            yield address
        finally:
            process.terminate()
            process.wait(120)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (our own server)
            return bool(response.status == 200)
    except OSError:
        return False


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Cell:
    """A code cell that has been run."""

    def __init__(self, page: Page, number: int) -> None:
        self._cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
        self.panels = self._cell.locator(".dicomove-panel")

    @property
    def output(self) -> str:
        # An Output widget would have an area of its own within this one.
        area = self._cell.locator(".jp-Cell-outputArea")
        return area.inner_text() if area.count() else ""

    @property
    def panel(self) -> str:
        """What the cell's panel says; nothing where it has none."""
        return self.panels.inner_text() if self.panels.count() else ""

    @property
    def is_running(self) -> bool:
        return "[*]" in self._cell.locator(".jp-InputPrompt").first.inner_text()

    def button(self, name: str) -> Locator:
        return self._cell.get_by_role("button", name=name)

    def ended(self) -> Cell:
        until(lambda: not self.is_running, "the end of the cell")
        return self

    def says(self, *words: str) -> Cell:
        until(lambda: all(word in self.panel for word in words), f"{words} in the panel", seen=lambda: self.panel)
        return self

    def prints(self, text: str) -> Cell:
        until(lambda: text in self.output, f"{text!r} in the output", seen=lambda: self.output)
        return self

    def screenshot(self) -> bytes:
        """The cell as it is seen, as PNG."""
        return self._cell.screenshot()

    def picture(self, path: Path) -> Image.Image:
        """The cell as it is seen, kept for a person to look at, and the bar of its panel."""
        self._cell.screenshot(path=path)
        taken: list[bytes] = []
        until(lambda: self._photograph(taken), "a picture of the bar")
        return Image.open(BytesIO(taken[0])).convert("RGB")

    def _photograph(self, taken: list[bytes]) -> bool:
        """Take a picture of the bar, unless the panel is drawn anew in this moment."""
        try:
            taken.append(self.panels.locator(".dicomove-bar").screenshot())
        except Error as error:
            if not any(gone in str(error) for gone in ("not attached", "not visible")):
                raise
        return bool(taken)


class Notebook:
    """A notebook with a kernel, open in a page."""

    def __init__(self, page: Page, address: str, folder: Path, kernel: str) -> None:
        self.path = folder / f"{kernel}.ipynb"
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        empty = {"cells": [], "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        self.path.write_text(json.dumps(empty))
        self.page = page
        self._open(f"{address}/lab/workspaces/{kernel}/tree/{self.path.name}?reset")

    def _open(self, url: str) -> None:
        """Open the notebook; load the page again if it does not come to life, as a person would."""
        said: list[str] = []
        self.page.on("console", lambda message: said.append(message.text))
        self.page.on("requestfailed", lambda request: said.append(f"{request.failure}: {request.url}"))
        for _ in range(2):
            self.page.goto(url)
            try:
                self.page.wait_for_function(IS_OPEN, timeout=OPENING_S * 1000)
            except WaitedInVain:
                said.append(f"JupyterLab shows {self.page.evaluate(SHOWN)}")
                continue
            if (awaited := self.page.evaluate(READY, OPENING_S)) is None:
                return
            said.append(f"JupyterLab waits for {awaited}")
        raise AssertionError("\n".join(said))

    def run(self, source: str) -> Cell:
        """Add a cell and run it."""
        return Cell(self.page, self.page.evaluate(ADD_AND_RUN, source))

    def press_stop(self) -> None:
        """Press the stop button; where JupyterLab finds no room for it, it is in a menu of its toolbar."""
        toolbar = self.page.locator(".jp-NotebookPanel-toolbar").first
        button = self.page.locator("[data-jp-item-name='interrupt']:visible")
        menu = toolbar.locator(".jp-Toolbar-responsive-opener:visible")
        until(
            lambda: button.count() or menu.count() or self._narrower(),
            "the stop button",
            120,
            lambda: str(toolbar.evaluate("toolbar => toolbar.outerHTML")),
        )
        if not button.count():
            menu.click()
        button.click()

    def _narrower(self) -> bool:
        """Make the window a pixel narrower, and give JupyterLab time: it may have hidden the buttons and their menu."""
        size = self.page.viewport_size
        assert size
        self.page.set_viewport_size({"width": size["width"] - 1, "height": size["height"]})
        self.page.wait_for_timeout(2000)
        return False

    def saved(self) -> list[Any]:
        """The cells, as they are saved."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return list(json.loads(self.path.read_text())["cells"])

    def restart(self) -> None:
        """Restart the kernel with the button, and say yes."""
        self.page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name='restart']").click()
        self.page.locator(".jp-Dialog button.jp-mod-accept").click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.page.evaluate(READY)
