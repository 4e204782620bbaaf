"""The recording of `dicomove retrieve` shows the current product."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import servers
from tests.recording import PICTURE, record, said, screens, shape, to_svg

ROOT = Path(__file__).parents[1]


def test_the_recording_is_that_of_a_run_today(tmp_path: Path) -> None:
    drawn = tmp_path / PICTURE.name
    shown, whole = screens(record(servers.free_port()))
    drawn.write_text(to_svg(shown, whole), encoding="utf-8")
    assert shape(said(drawn)) == shape(said(PICTURE)), "draw it anew: python -m tests.recording"
    assert "8 complete, 2 empty, 1 partial, 1 invalid" in said(drawn)
    assert drawn.read_text().count('class="now"') > 5  # it moves
    assert max(one.end for one in shown) == whole


def test_the_recording_is_small_and_names_no_machine() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert len(text) < 100_000
    assert re.findall(r"host ([\d.]+), port (\d+)", said(PICTURE)) == [("198.51.100.23", "11112")]
    assert "Receiver('images')" in said(PICTURE)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/shell.md"])
def test_a_page_shows_it(page: str) -> None:
    path = ROOT / page
    found = re.search(r"!\[[^\]]+\]\(([^)]*retrieve\.svg)\)", path.read_text())
    assert found
    assert (path.parent / found[1]).resolve() == PICTURE
