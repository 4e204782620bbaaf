"""Pictures of every notebook as JupyterLab shows it, for a person to look at.

::

    python -m tests.browser.looks FOLDER [NUMBER ...]

runs the notebooks (or those of these numbers: ``03 09``), opens each in the light and in the dark theme, at 100 % and
at 150 %, 900 and 1600 pixels wide, and keeps the pictures in a folder. It lists the outputs that are wider than their
cell, and the buttons without a name.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import nbformat
from playwright.sync_api import Browser, Page, sync_playwright

from tests import site
from tests.browser.lab import chromium, running_lab, until

THEMES: Final = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
ZOOMS: Final = (1.0, 1.5)
WIDTHS: Final = (900, 1600)
_TALLEST: Final = 16000

_OPEN: Final = """async path => {
    const app = window.jupyterapp;
    const widget = await app.commands.execute('docmanager:open', {
        path, factory: 'Notebook', kernelPreference: {shouldStart: false, canStart: false}
    });
    await widget.context.ready;
    await widget.revealed;
    app.shell.collapseLeft();
}"""
_SET_THEME: Final = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
_RENDERED: Final = """() => [...document.querySelectorAll('.jp-NotebookPanel-notebook .jp-MarkdownCell')].every(
    one => one.querySelector('.jp-RenderedMarkdown')?.innerText.trim())"""
_HEIGHT: Final = """() => Math.max(...[...document.querySelectorAll('.jp-NotebookPanel-notebook .jp-Cell')].map(
    cell => cell.getBoundingClientRect().bottom - document.querySelector('.jp-NotebookPanel-notebook .jp-Cell')
        .getBoundingClientRect().top))"""
#: Outputs whose content is wider than they are: the reader has to scroll, or does not see the end.
_WIDER: Final = """() => [...document.querySelectorAll('.jp-OutputArea-output')].filter(
    one => one.scrollWidth > one.clientWidth + 1
).map(one => `${one.scrollWidth - one.clientWidth} px: ${one.innerText.slice(0, 60).replaceAll('\\n', ' ')}`)"""
_NAMELESS: Final = """() => [...document.querySelectorAll('.jp-OutputArea-output button')].filter(
    one => !(one.innerText.trim() || one.ariaLabel || one.title)).length"""


class Look(NamedTuple):
    """How a notebook is looked at."""

    theme: str
    zoom: float
    width: int

    def __str__(self) -> str:
        return f"{self.theme}-{self.zoom:.0%}-{self.width}".replace("%", "")


LOOKS: Final = tuple(Look(*one) for one in itertools.product(THEMES, ZOOMS, WIDTHS))


def run_notebooks(folder: Path, numbers: list[str]) -> list[str]:
    """Run the notebooks, and keep them with their outputs in a folder; return their names."""
    chosen = [path for path in site.NOTEBOOKS if not numbers or path.name[:2] in numbers]
    for path in chosen:
        with TemporaryDirectory() as checkout:
            done = site.execute(path, "notebooks", Path(checkout))
        nbformat.write(done.notebook, folder / path.name)  # type: ignore[no-untyped-call]  # nbformat has no types
    return [path.name for path in chosen]


def trust(folder: Path, names: list[str]) -> None:
    """Sign the notebooks, as if the user of this JupyterLab had run them."""
    os.environ["JUPYTER_DATA_DIR"] = str(folder / "jupyter" / "data")
    from nbformat.sign import NotebookNotary

    notary = NotebookNotary()  # type: ignore[no-untyped-call]
    for name in names:
        notary.sign(nbformat.read(folder / name, as_version=4))  # type: ignore[no-untyped-call]
    notary.store.close()


def photograph(page: Page, name: str, target: Path) -> list[str]:
    """Take a picture of the notebook that is open, as tall as it is; return what is wrong with it."""
    size = page.viewport_size
    assert size is not None
    tall = min(_TALLEST, int(page.evaluate(_HEIGHT)) + 200)
    page.set_viewport_size({"width": size["width"], "height": tall})
    page.wait_for_timeout(300)
    page.screenshot(path=target)
    found = [f"{target.stem}: wider by {one}" for one in page.evaluate(_WIDER)]
    nameless = page.evaluate(_NAMELESS)
    return found + ([f"{target.stem}: {nameless} buttons of {name} have no name"] if nameless else [])


def look_at(browser: Browser, address: str, name: str, look: Look, target: Path) -> list[str]:
    """Open a notebook, and take its picture."""
    viewport = {"width": round(look.width / look.zoom), "height": 1000}
    page = browser.new_page(viewport=viewport, device_scale_factor=look.zoom)  # type: ignore[arg-type]
    page.goto(f"{address}/lab/workspaces/{look}-{name[:2]}?reset")
    page.wait_for_function("window.jupyterapp?.restored !== undefined", timeout=60_000)
    page.evaluate("() => window.jupyterapp.restored")
    page.evaluate(_SET_THEME, THEMES[look.theme])
    page.evaluate(_OPEN, name)
    page.locator(".jp-NotebookPanel-notebook .jp-Cell").first.wait_for()
    until(lambda: page.evaluate(_RENDERED), "the texts of the notebook")
    theme = "true" if look.theme == "light" else "false"
    until(lambda: page.locator("body").get_attribute("data-jp-theme-light") == theme, "the theme")
    found = photograph(page, name, target / f"{Path(name).stem}-{look}.png")
    page.close()
    return found


def main(target: str, *numbers: str) -> int:
    """Take the pictures; return how many outputs do not fit."""
    shutil.rmtree(target, ignore_errors=True)
    Path(target).mkdir(parents=True)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # Before Playwright begins: it has an event loop, and so has a notebook's run.
        names = run_notebooks(folder, list(numbers))
        trust(folder, names)
        with running_lab(folder, {"python3": {}}) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
            )
            found = [
                one for name in names for look in LOOKS for one in look_at(browser, address, name, look, Path(target))
            ]
            browser.close()
    sys.stdout.write("\n".join(found) + "\n" if found else "everything fits, and each button has a name\n")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(1, main(*sys.argv[1:])))
