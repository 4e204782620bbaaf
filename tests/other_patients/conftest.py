"""What the random tests of other patients share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.model.world import close_shared_receiver


@pytest.fixture(scope="module", autouse=True)
def receiver() -> Iterator[None]:
    """Ends the receiver of all examples of a module with the last of them."""
    yield
    close_shared_receiver()
