"""dicomove's fixtures for pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dicomove.testing.rehearsal import RehearsalPacs, RunningPacs


@pytest.fixture
def rehearsal_pacs() -> Iterator[Callable[..., RunningPacs]]:
    """Start rehearsal PACS for a test: call it with the arguments of `RehearsalPacs`. They end with the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(RehearsalPacs(*arguments, **options))
