from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", PAGE))))
def test_names_on_the_page_exist(named: str) -> None:
    assert any((folder / named).exists() for folder in (ROOT, ROOT / "dicomove"))


def test_every_folder_and_module_of_the_top_is_named() -> None:
    top = {
        path.name for path in (ROOT / "dicomove").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    named = {name.rstrip("/") for name in re.findall(r"`([\w./]+)`", PAGE)} | set(re.findall(r"(\w+\.py)", PAGE))
    assert top - {"__init__.py"} - named == set()


def test_the_table_of_folders_has_the_order_of_the_layers() -> None:
    table = PAGE.split("## The folders")[1].split("## A row")[0]
    rows = [
        re.findall(r"`(\w+)(?:\.py|/)`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")
    ]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    assert [sorted(row, key=layers.index) for row in rows] == rows
    assert [name for row in rows for name in row] == layers


def test_the_page_names_the_packages_whose_modules_are_protected() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    protected = {one["protected_modules"][0].split(".")[1] for one in contracts if one["type"] == "protected"}
    said = PAGE.split("import only the names that ")[1].split(" export")[0]
    assert set(re.findall(r"`(\w+)`", said)) == protected


@pytest.mark.parametrize(
    "face", sorted((ROOT / "dicomove").rglob("*/__init__.py")), ids=lambda face: str(face.parent.relative_to(ROOT))
)
def test_each_folder_says_what_each_of_its_modules_is_for(face: Path) -> None:
    said = ast.get_docstring(ast.parse(face.read_text(encoding="utf-8"))) or ""
    lines = re.findall(r"^    ((?:\w+/?, )*\w+/?) +\S", said, re.MULTILINE)
    listed = {name for line in lines for name in re.findall(r"\w+", line)}
    modules = {path.stem for path in face.parent.glob("*.py")} | {
        path.parent.name for path in face.parent.glob("*/__init__.py")
    }
    assert listed == modules - {"__init__"}
