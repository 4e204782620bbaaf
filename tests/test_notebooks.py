"""What a user copies: notebooks run from top to bottom, and the tables of the documentation say what the code does."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import nbformat
import pandas as pd
import pytest

from dicomove import Pacs, errors, find, move
from dicomove.cohort import MATCHING_KEYS, RETURN_KEYS
from dicomove.cohort.keywords import ALIASES, KEYWORDS
from dicomove.columns import FIND_COLUMNS
from dicomove.headers import Converted
from dicomove.headers.nifti import CONVERT_COLUMNS, REASONS
from dicomove.move import RESULT_COLUMNS
from dicomove.testing import demo_pacs
from dicomove.words import ADVICE, Outcome
from tests import site
from tests.site import NOTEBOOKS, ROOT, Executed

QUICKSTART = ROOT / "notebooks" / "01_quickstart.ipynb"
#: What a last cell prints of the quickstart.
QUICKSTART_TELLS = "import json; print(json.dumps([results.outcome.tolist(), verdicts.outcome.tolist()]))"
TABLES = ROOT / "docs" / "tables.md"
#: The first test that needs the site waits for the runs of all notebooks.
WAITS_FOR_ALL = pytest.mark.timeout(400)
CONVERTING = ("nifti/verdict.py", "nifti/jobs.py", "reading.py")
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CHANGELOG.md"]


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types


def label(value: Path | str) -> str:
    return value.stem if isinstance(value, Path) else value


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


Runs = Mapping[tuple[Path, str], Future[Executed]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """The runs that the chosen tests ask for, two at a time, since a notebook waits more than it works; each once."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = {(call["ran"], call["where"]) for call in calls if "ran" in call}
    if any("site_folder" in getattr(item, "fixturenames", ()) for item in request.session.items):
        wanted |= {(path, "notebooks") for path in NOTEBOOKS}
    with ThreadPoolExecutor(2) as pool:
        yield {
            (path, where): pool.submit(site.execute, path, where, tmp_path_factory.mktemp(path.stem), probes(path))
            for path, where in sorted(wanted)
        }


def probes(path: Path) -> list[str]:
    """The last cells, which the test adds."""
    return [*([QUICKSTART_TELLS] if path == QUICKSTART else []), "print('the end')"]


@pytest.fixture(scope="module")
def site_folder(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, with the notebooks as they were run; `tests/run` keeps it."""
    if not (find_spec("zensical") and find_spec("nbconvert")):
        pytest.skip("the extra `docs` is not installed")
    staging = tmp_path_factory.mktemp("staging")
    site.pages([runs[path, "notebooks"].result() for path in NOTEBOOKS], staging)
    target = Path(os.environ.get("DICOMOVE_SITE") or tmp_path_factory.mktemp("built") / "site")
    site.build(staging, target)
    return target


def test_there_are_notebooks() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 11)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_what_a_run_leaves(path: Path) -> None:
    for cell in code_cells(read(path)):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize(("ran", "where"), [(path, "notebooks") for path in NOTEBOOKS], ids=label)
def test_a_notebook_runs(ran: Path, where: str, runs: Runs) -> None:
    done = runs[ran, where].result()
    # A kernel may send the line and its end one after the other.
    assert "".join(output["text"] for output in code_cells(done.notebook)[-1].outputs) == "the end\n"


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


@WAITS_FOR_ALL
def test_the_site_shows_each_notebook_with_what_its_run_printed_and_drew(site_folder: Path, runs: Runs) -> None:
    for path in NOTEBOOKS:
        page = (site_folder / "notebooks" / path.stem / "index.html").read_text()
        cells = code_cells(runs[path, "notebooks"].result().notebook)
        assert page.count('<img alt="png"') == len(outputs(cells, "image/png"))
        panels = [out for out in outputs(cells, "text/html") if "dicomove-panel" in out]
        assert page.count('class="dicomove-panel"') == len(panels)
        assert "print('the end')" not in unescape(re.sub(r"<[^>]+>", "", page))
    quickstart = (site_folder / "notebooks" / QUICKSTART.stem / "index.html").read_text()
    assert quickstart.count('class="dicomove-panel"') == 4
    assert re.search(r"complete +10\nempty +2\ninvalid +1", quickstart)


def outputs(cells: list[Any], kind: str) -> list[Any]:
    return [out["data"][kind] for cell in cells for out in cell.outputs if kind in out.get("data", {})]


@WAITS_FOR_ALL
def test_the_gallery_leads_to_a_report(site_folder: Path) -> None:
    gallery = site_folder / "notebooks" / "10_gallery" / "index.html"
    links = re.findall(r'href="([^"]*report\.html)"', gallery.read_text())
    assert links
    assert all("Flow of the cohort" in (gallery.parent / link).resolve().read_text() for link in links)


@WAITS_FOR_ALL
def test_the_site_has_nothing_of_the_machine_that_built_it(site_folder: Path) -> None:
    """Neither its folders nor its name nor its address."""
    written = [path for path in site_folder.rglob("*") if path.suffix in {".html", ".json", ".xml"}]
    assert len(written) > len(NOTEBOOKS)
    named = [tempfile.gettempdir() + "/", str(ROOT) + "/", str(Path.home()) + "/", "/ipykernel_", *site.addresses()]
    for path in written:
        text = path.read_text()
        assert [name for name in named if name in text] == [], path


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
