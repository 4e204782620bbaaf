"""The pictures of the README and of the site show the current product."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A browser and a JupyterLab take minutes to start beside other work.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


def test_the_pictures_are_those_of_a_run_today(browser: Browser, tmp_path: Path) -> None:
    from tests.browser.pictures import FLOW, FOLDER, PANEL, draw_all, shown

    draw_all(tmp_path, browser)
    for name in (PANEL, FLOW):
        assert shown(tmp_path / name) == shown(FOLDER / name), (
            f"draw it anew: python -m tests.browser.pictures ({name})"
        )
    assert "move: 0 of 0 rows" in shown(tmp_path / PANEL)
    assert "Complete: 45 rows; 2 partial: some failed" in shown(tmp_path / FLOW)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_first_page_shows_both(page: str) -> None:
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    for name in ("panel.png", "flow.png"):
        path = (ROOT / "docs" / "pictures" / name).relative_to(folder)
        assert f"]({path})" in text
