from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import get_args

import pytest

from dicomove.run import pacing
from dicomove.run.pacing import Failures
from dicomove.run.pacing.retry import OnFailure
from dicomove.words import Outcome


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_outcomes_that_count_as_failures(outcome: str) -> None:
    failures = Failures(1, "continue")
    failures.count(outcome)
    assert failures.exhausted == (outcome in ("failed", "partial", "interrupted", "unreachable"))


@pytest.mark.parametrize(
    ("most", "on_failure", "failed", "exhausted"),
    [
        (None, "continue", 0, False),
        (None, "continue", 100_000, False),
        (None, "stop", 0, False),
        (None, "stop", 1, True),
        (3, "continue", 2, False),
        (3, "continue", 3, True),
        (3, "continue", 4, True),
        (3, "stop", 1, True),
        (1, "continue", 1, True),
    ],
)
def test_when_a_run_ends(most: int | None, on_failure: OnFailure, failed: int, exhausted: bool) -> None:
    failures = Failures(most, on_failure)
    for _ in range(failed):
        failures.count("failed")
        failures.count("complete")
    assert failures.counted == failed
    assert failures.exhausted == exhausted


def test_how_it_shows_itself() -> None:
    failures = Failures(3, "continue")
    failures.count("failed")
    assert repr(failures) == "<Failures: 1 of 3>"
    assert repr(Failures(None, "continue")) == "<Failures: 0 of any number>"


def test_nothing_here_looks_at_a_clock_or_waits() -> None:
    pure = {
        "__future__",
        "collections",
        "contextlib",
        "dataclasses",
        "datetime",
        "difflib",
        "functools",
        "math",
        "re",
        "statistics",
        "typing",
        "zoneinfo",
    }
    imported: set[str] = set()
    for path in Path(*pacing.__path__).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"now", "today", "utcnow", "sleep", "monotonic"}, path.name
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
    assert imported <= pure | {"tenacity", "dicomove"}
    assert pure <= sys.stdlib_module_names
