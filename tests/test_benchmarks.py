"""The benchmarks run, in a miniature."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(120)
def test_scale(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--rows", "20", "40", "--output", str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    measured = json.loads((tmp_path / "scale.json").read_text())
    assert [(one["rows"], one["concurrency"], one["shown"]) for one in measured] == [
        (20, 1, False),
        (20, 4, False),
        (20, 4, True),
        (40, 1, False),
        (40, 4, False),
    ]
    assert all(one["seconds"] > 0 and one["journal_bytes"] > 0 for one in measured)
    assert "concurrency=4" in (tmp_path / "scale.md").read_text()
