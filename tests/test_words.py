from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dicomove import errors
from dicomove.words import ERROR_WORDS, MOVE_OUTCOMES, OUTCOME_WORDS, UNMATCHED, Outcome

DOCS = Path(__file__).parents[1] / "docs"


def rows(page: Path, head: str) -> Iterator[str]:
    """The words of the first column of the table on a page that begins with this head."""
    lines = iter(page.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith(head):
            break
    for line in lines:
        if not line.startswith("|"):
            return
        yield from re.findall(r"`(\w+)`", line.split("|")[1])


def association_errors(parent: type[errors.AssociationError]) -> Iterator[type[errors.AssociationError]]:
    for child in parent.__subclasses__():
        yield child
        yield from association_errors(child)


def test_the_table_has_every_outcome_of_the_type_and_two_of_find() -> None:
    assert set(OUTCOME_WORDS) == {*get_args(Outcome), "matched", "ambiguous"}


@pytest.mark.parametrize("page", [DOCS / "tables.md", DOCS.parent / "README.md"], ids=lambda page: page.name)
def test_the_documentation_explains_every_outcome(page: Path) -> None:
    assert set(rows(page, "| outcome | when")) == set(MOVE_OUTCOMES)


def test_a_status_has_one_word() -> None:
    statuses = Counter(status for word in ERROR_WORDS.values() for status in word.statuses)
    assert [hex(status) for status, count in statuses.items() if count > 1] == []


def test_permanent_errors_are_not_tried_again() -> None:
    assert [name for name, word in ERROR_WORDS.items() if word.permanent and word.retry != "no"] == []


def test_every_lost_association_has_a_word_of_the_table() -> None:
    assert {error.error for error in association_errors(errors.AssociationError)} <= set(ERROR_WORDS)


def test_nothing_was_moved_for_a_row_without_a_match() -> None:
    assert not UNMATCHED & {name for name, word in OUTCOME_WORDS.items() if word.moved or word.good}
