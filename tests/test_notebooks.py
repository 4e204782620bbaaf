"""What a user copies: notebooks run from top to bottom, and the tables of the documentation say what the code does."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from dicomove import Pacs, errors, find, move
from dicomove.cohort import MATCHING_KEYS, RETURN_KEYS
from dicomove.cohort.keywords import ALIASES, KEYWORDS
from dicomove.columns import FIND_COLUMNS
from dicomove.headers import Converted
from dicomove.headers.conversion import REASONS
from dicomove.headers.converting import CONVERT_COLUMNS
from dicomove.move import RESULT_COLUMNS
from dicomove.testing import demo_pacs
from dicomove.words import ADVICE, Outcome

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICKSTART = ROOT / "notebooks" / "01_quickstart.ipynb"
#: What a last cell prints of the quickstart.
QUICKSTART_TELLS = "import json; print(json.dumps([results.outcome.tolist(), summary.outcome.tolist()]))"
TABLES = ROOT / "docs" / "tables.md"
CONVERTING = ("conversion.py", "conversions.py", "reading.py")
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CHANGELOG.md"]


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types


def label(value: Path | str) -> str:
    return value.stem if isinstance(value, Path) else value


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@dataclass(frozen=True)
class Executed:
    """A notebook after its run, and where it ran."""

    notebook: Any
    folder: Path


def execute(path: Path, where: str, checkout: Path) -> Executed:
    """Run a notebook, and a last cell after it, in a copy of what it reads: what it writes is not left behind."""
    shutil.copytree(ROOT / "datasets", checkout / "datasets")
    folder = checkout / where
    folder.mkdir(exist_ok=True)
    notebook = read(path)
    for probe in (*([QUICKSTART_TELLS] if path == QUICKSTART else []), "print('the end')"):
        notebook.cells.append(nbformat.v4.new_code_cell(probe))  # type: ignore[no-untyped-call]  # nbformat has no types
    client = NotebookClient(notebook, timeout=90, resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute())
    return Executed(notebook, folder)


Runs = Mapping[tuple[Path, str], Future[Executed]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """The runs that the chosen tests ask for, two at a time, since a notebook waits more than it works; each once."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = {(call["ran"], call["where"]) for call in calls if "ran" in call}
    with ThreadPoolExecutor(2) as pool:
        yield {
            (path, where): pool.submit(execute, path, where, tmp_path_factory.mktemp(path.stem))
            for path, where in sorted(wanted)
        }


def test_there_are_notebooks() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07", "08", "09"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_what_a_run_leaves(path: Path) -> None:
    for cell in code_cells(read(path)):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize(("ran", "where"), [(path, "notebooks") for path in NOTEBOOKS], ids=label)
def test_a_notebook_runs(ran: Path, where: str, runs: Runs) -> None:
    done = runs[ran, where].result()
    assert code_cells(done.notebook)[-1].outputs[0]["text"] == "the end\n"


@pytest.mark.parametrize(("ran", "where"), [(QUICKSTART, "notebooks"), (QUICKSTART, ".")], ids=label)
def test_the_quickstart_ends_with_what_it_tells(ran: Path, where: str, runs: Runs) -> None:
    done = runs[ran, where].result()
    outcomes, verdicts = json.loads(code_cells(done.notebook)[-2].outputs[0]["text"])

    assert Counter(outcomes) == {"complete": 10, "empty": 2, "invalid": 1}
    left = {row: verdict for row, verdict in enumerate(verdicts) if verdict != "complete"}
    assert left == {6: "empty", 7: "invalid", 11: "empty"}
    counts = [shown(cell) for cell in code_cells(done.notebook) if cell.source.endswith(".value_counts()")]
    assert [re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE) for text in counts] == [
        [("complete", "8"), ("empty", "2"), ("partial", "1"), ("failed", "1"), ("invalid", "1")],
        [("complete", "10"), ("empty", "2"), ("invalid", "1")],
        [("complete", "9"), ("empty", "2"), ("invalid", "1")],
    ]
    saved = pd.read_csv(done.folder / "results.csv", dtype=str, keep_default_na=False)
    assert saved["outcome"].tolist() == outcomes
    assert saved["PatientID"].tolist()[:2] == ["000123", "000124"]


def shown(cell: Any) -> str:
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    return str(results[0]["data"]["text/plain"])


def rows_of(name: str) -> list[list[str]]:
    """The rows of the table between the two comments of this name in docs/tables.md."""
    page = TABLES.read_text(encoding="utf-8")
    _, _, rest = page.partition(f"<!-- {name}: begin -->\n")
    text, end, _ = rest.partition(f"<!-- {name}: end -->")
    assert end, f"{TABLES} has no table named {name}"
    _, _, *rows = text.strip().splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def words(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def first_words(name: str) -> list[str]:
    return [words(row[0])[0] for row in rows_of(name)]


def test_the_documented_headers_are_those_that_are_read() -> None:
    documented = {words(attribute)[0]: words(spellings) for attribute, spellings in rows_of("headers")}
    assert documented == {keyword: ALIASES.get(keyword, ()) for keyword in KEYWORDS}


@pytest.mark.parametrize(("name", "keys"), [("matching keys", MATCHING_KEYS), ("return keys", RETURN_KEYS)])
def test_the_documented_keys_are_those_of_the_code(name: str, keys: dict[str, tuple[str, ...]]) -> None:
    assert {words(level)[0]: words(documented) for level, documented in rows_of(name)} == keys


def test_every_outcome_is_documented() -> None:
    assert first_words("outcomes") == list(get_args(Outcome))


def association_words(kind: type[errors.AssociationError] = errors.AssociationError) -> set[str]:
    below = [word for child in kind.__subclasses__() for word in association_words(child)]
    return {*below, *({kind.error} if kind is not errors.AssociationError else ())}


def test_every_error_is_documented() -> None:
    documented = first_words("errors")
    assert len(documented) == len(set(documented))
    # internal_error is what `move` says of its own defects.
    assert set(documented) == {*ADVICE, *association_words(), "internal_error"}


def test_every_reason_of_convert_is_documented() -> None:
    code = "".join((ROOT / "dicomove" / "headers" / name).read_text() for name in CONVERTING)
    named = [word for row in rows_of("reasons of convert") for word in words(row[0])]
    assert named[: len(REASONS)] == list(REASONS)
    assert [word for word in named if f'"{word}"' not in code] == []
    section = TABLES.read_text(encoding="utf-8").partition("## NIfTI: `convert`")[2]
    assert [name for name in (*CONVERT_COLUMNS, *get_args(Converted)) if f"`{name}`" not in section] == []


def kind_of(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column.dtype):
        return "true or false"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "whole number"
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return "time"
    return "seconds" if pd.api.types.is_float_dtype(column.dtype) else "text"


def test_every_column_of_the_result_is_documented_with_its_type() -> None:
    unreachable = Pacs("NOBODY@127.0.0.1:9", connect_timeout=1)
    results = move(pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), unreachable, "ANYWHERE", progress=False)
    documented = [(words(column)[0], kind) for column, kind, _ in rows_of("result columns")]
    assert [column for column, _ in documented] == list(RESULT_COLUMNS)
    assert documented == [(name, kind_of(results[name])) for name in results.columns[1:]]


def test_every_column_of_find_is_documented() -> None:
    with demo_pacs() as pacs:
        found = find(pd.DataFrame({"AccessionNumber": ["A0*"], "arm": ["x"]}), pacs, progress=False)
    page = TABLES.read_text(encoding="utf-8")
    _, _, section = page.partition("### The table of `find`")
    section, _, _ = section.partition("## The result table")
    for name in {*found.columns, *FIND_COLUMNS} - {"arm", "AccessionNumber_asked"}:
        assert f"`{name}`" in section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
