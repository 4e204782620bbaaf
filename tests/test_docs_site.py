"""The pages of the documentation are complete. `tests/run` builds them and checks their links."""

from __future__ import annotations

import pkgutil
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

import dicomove as dm
from dicomove.moved_names import TOP_LEVEL
from dicomove.testing import faults
from dicomove.words import ADVICE
from tests import decision_picture

DOCS = Path(__file__).parents[1] / "docs"
SITE = DOCS.parent / "mkdocs.yml"


@pytest.mark.parametrize("word", sorted(ADVICE))
def test_every_error_has_its_cause_and_its_remedy(word: str) -> None:
    page = (DOCS / "when-it-goes-wrong.md").read_text()
    (section,) = re.findall(rf"^## {word}\n\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    cause, remedy = section.split("**What to do:**")
    assert cause.strip()
    assert remedy.strip(" .\n")


def test_the_page_of_errors_says_nothing_twice() -> None:
    page = " ".join((DOCS / "when-it-goes-wrong.md").read_text().replace("**What to do:**", "").split())
    sentences = [sentence for sentence in re.split(r"(?<=[.:?!]) ", page) if len(sentence.split()) > 5]
    assert [sentence for sentence, count in Counter(sentences).items() if count > 1] == []


def test_every_public_name_is_in_the_reference() -> None:
    named = re.findall(r"^::: dicomove\.([.\w]+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)
    deeper = {f"{module}.{name}" for name, module in TOP_LEVEL.items()}
    assert set(named) >= {*dm.__all__, *deeper} - {"__version__"}
    assert len(named) == len(set(named))
    assert all(pkgutil.resolve_name(f"dicomove.{name}") for name in named)


def test_the_figures_of_trust_count_the_faults() -> None:
    page = (DOCS / "trust.md").read_text()
    assert f"| faults of real PACS, by name | {len(faults.BY_NAME)} |" in page
    assert f"one or two of the {len(faults.BY_NAME)}." in page


def test_every_page_is_in_the_navigation() -> None:
    navigation = str(yaml.safe_load(SITE.read_text())["nav"])
    missing = [
        str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if f"'{path.relative_to(DOCS)}'" not in navigation
    ]
    assert missing == []


def test_the_picture_of_the_decision_is_that_of_its_script() -> None:
    page = DOCS / "how-to" / "where-it-runs.md"
    assert page.with_suffix(".svg").read_text() == decision_picture.picture()
    text = page.read_text()
    assert "(where-it-runs.svg)" in text
    for step in decision_picture.STEPS:
        # The text of a box has its width.
        assert len(step.question[0]) <= 38
        assert max(len(line) for line in (*step.question[1:], step.answer)) <= 42
        assert len(step.code) <= 46
