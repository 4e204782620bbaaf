"""The project files can be read by the programs they are for, and name what exists."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

import dicomove as dm
from dicomove.cli import main
from dicomove.testing import faults

ROOT: Final = Path(__file__).parents[1]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGES: Final = ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "README.md")
TEMPLATES: Final = tuple(sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")))
PROJECT_FILES: Final = (
    *(ROOT / name for name in (*PAGES, "CITATION.cff", ".pre-commit-config.yaml", "pyproject.toml", "paper.md")),
    *(ROOT / "conda" / "meta.yaml", ROOT / ".github" / "workflows" / "tests.yml", *TEMPLATES),
)


def read_yaml(*path: str) -> Any:
    return yaml.safe_load(ROOT.joinpath(*path).read_text())


def workflow() -> Any:
    # A key named `on` is True to YAML 1.1, and so to PyYAML.
    read = read_yaml(".github", "workflows", "tests.yml")
    return {("on" if key is True else key): value for key, value in read.items()}


def recipe() -> Any:
    text = (ROOT / "conda" / "meta.yaml").read_text()
    (version,) = re.findall(r'^{% set version = "(.+)" %}$', text, re.MULTILINE)
    text = re.sub(r"^{%.*%}$", "", text, flags=re.MULTILINE)
    return yaml.safe_load(text.replace("{{ version }}", version).replace("{{ PYTHON }}", "python"))


def shell_lines(page: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line]
    return [command.strip() for line in lines for command in line.split("&&")]


def dependencies(named: list[str]) -> dict[str, str]:
    found = [re.fullmatch(r"([\w-]+) ?(.*)", one.split(";")[0].strip()) for one in named]
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("page", PAGES)
def test_links_of_project_pages_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", (ROOT / page).read_text())
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_commands_for_contributors_exist() -> None:
    lines = shell_lines("CONTRIBUTING.md")
    assert len(lines) > 8
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        if program not in {"export", "bash", ".venv/bin/pip"}:
            assert shutil.which(program.removeprefix(".venv/bin/")), line
        paths = [argument for argument in arguments if re.match(r"[\w/]+/[\w./-]+$|\w+\.md$", argument)]
        assert [path for path in paths if not (ROOT / path).exists()] == [], line
        for extras in re.findall(r"\.\[([\w,]+)\]", line):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), line


@pytest.mark.parametrize("path", PROJECT_FILES, ids=lambda path: path.name)
def test_commands_and_faults_that_a_file_names_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = path.read_text()
    named = set(re.findall(r"(?:`|run: |^ +- |&& \.venv/bin/)dicomove ([a-z]+)\b", text, re.MULTILINE))
    for command in named:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command
    capsys.readouterr()
    assert set(re.findall(r"--fault ([a-z-]+)", text)) - {"your-fault"} <= set(faults.BY_NAME)


@pytest.mark.parametrize("path", PROJECT_FILES, ids=lambda path: path.name)
def test_a_project_file_names_no_machine_and_no_registry(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"(?<![\w.])/(?:work|root|home|Users|opt)/\S*", text) == []
    hosts = {urlsplit(url).hostname for url in re.findall(r"https?://[^\s)\"'>}]+", text)}
    assert hosts <= {"dicomove.example", "www.contributor-covenant.org"}


def test_all_addresses_of_the_project_are_of_one_place() -> None:
    assert set(PROJECT["urls"]) == {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert len({urlsplit(url).hostname for url in PROJECT["urls"].values()}) == 1


def test_versions_agree() -> None:
    versions = (PROJECT["version"], read_yaml("CITATION.cff")["version"], recipe()["package"]["version"])
    assert set(versions) == {dm.__version__}


def test_the_citation_has_what_the_format_requires() -> None:
    citation = read_yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_asks_for_doctor_and_no_patients(path: Path) -> None:
    template = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert set(template) <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(template)
    fields = {part["id"]: part for part in template["body"] if part["type"] != "markdown"}
    assert len(fields) == len([part for part in template["body"] if part["type"] != "markdown"])
    assert all(part["attributes"]["label"] for part in fields.values())
    assert "`dicomove doctor`" in fields["doctor"]["attributes"]["label"]
    assert fields["doctor"]["validations"] == {"required": True}
    assert "**Do not post data of patients" in template["body"][0]["attributes"]["value"]
    assert fields["patients"]["attributes"]["options"][0]["required"] is True


def test_hooks_use_the_tools_of_the_environment() -> None:
    hooks = [hook for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} >= {"ruff-check", "ruff-format", "mypy"}
    for hook in hooks:
        assert hook["language"] == "system"
        assert shutil.which(hook["entry"].split()[0]), hook["id"]


def test_the_workflow_runs_every_supported_python_on_every_system() -> None:
    jobs = workflow()["jobs"]
    matrix = jobs["systems"]["strategy"]["matrix"]
    assert [system.split("-")[0] for system in matrix["os"]] == ["ubuntu", "macos", "windows"]
    told = {name.rsplit(" ", 1)[1] for name in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", name)}
    assert told <= set(matrix["python"])
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert {(one["os"], one["python"]) for one in matrix["include"] if one["resolution"] == "oldest"} == {
        (system, oldest) for system in matrix["os"]
    }
    assert workflow()["on"].keys() >= {"push", "pull_request"}
    assert workflow()["permissions"] == {"contents": "read"}


def test_the_workflow_runs_what_exists() -> None:
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    commands = [step["run"] for step in steps if "run" in step]
    assert "bash tests/run" in commands
    extras = {extra for command in commands for extra in re.findall(r"\.\[(\w+)\]", command)}
    assert extras <= set(PROJECT["optional-dependencies"])


def test_recipe_and_security_page_name_what_the_package_needs() -> None:
    made = recipe()
    needed = dependencies(made["requirements"]["run"])
    assert needed.pop("python") == PROJECT["requires-python"]
    assert needed.pop("python-tzdata") == ""  # tzdata is the package of another program there
    ours = dependencies(PROJECT["dependencies"])
    assert ours.pop("tzdata") == ""
    assert needed == ours
    programs = dependencies([one.partition("#")[0].strip() for one in made["requirements"]["run_constrained"]])
    assert programs == dependencies(PROJECT["optional-dependencies"]["nifti"])
    page = (ROOT / "docs" / "security.md").read_text().partition("## What it is made of")[2]
    assert [name for name in programs if name not in page] == []
    assert [name for name in ours if name not in page] == []
    assert made["build"]["entry_points"] == [f"{name} = {to}" for name, to in PROJECT["scripts"].items()]
    assert (ROOT / "conda" / made["source"]["path"] / made["about"]["license_file"]).exists()


def test_the_paper_cites_what_its_bibliography_has() -> None:
    _, head, text = (ROOT / "paper.md").read_text().split("---\n", 2)
    said = yaml.safe_load(head)
    cited = set(re.findall(r"@(\w+)", text))
    entries = re.findall(r"^@\w+\{(\w+),$", (ROOT / said["bibliography"]).read_text(), re.MULTILINE)
    assert cited == set(entries)
    assert len(entries) == len(set(entries))
    assert {"# Summary", "# Statement of need", "# References"} <= set(text.splitlines())


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_comparison_leaves_no_cell_open() -> None:
    table = [line for line in (ROOT / "docs" / "comparison.md").read_text().splitlines() if line.startswith("|")]
    width = table[0].count("|")
    rows = table[2 : table.index("| tool | read |")]
    assert [row for row in rows if "?" in row or "| |" in row or row.count("|") != width] == []
    tools = {re.split(r" `| \(", cell.strip())[0] for cell in table[0].split("|")[3:-1]}
    assert {row.split("|")[1].strip() for row in table[table.index("| tool | read |") + 2 :]} == tools


def test_each_public_name_has_a_typed_use() -> None:
    used = set(re.findall(r"\bdm\.(\w+)", (ROOT / "tests" / "typed_uses.py").read_text()))
    assert set(dm.__all__) <= used


def test_no_test_module_imports_from_another() -> None:
    """What several share is in a module of its own: the first part of its name is not ``test_``."""
    importing = re.compile(r"^ *(?:from|import) tests(?:\.\w+)*(?:\.test_| import .*\btest_)", re.MULTILINE)
    assert [path.name for path in sorted((ROOT / "tests").rglob("*.py")) if importing.search(path.read_text())] == []


@pytest.mark.parametrize("name", ["security.md", "trust.md"])
def test_a_page_about_safety_names_files_and_variables_that_exist(name: str) -> None:
    page = (ROOT / "docs" / name).read_text()
    named = set(re.findall(r"(?<![\w/])(\w+/\w+\.py)\b", page))
    assert len(named) > 3
    assert [one for one in named if not ((ROOT / one).exists() or (ROOT / "dicomove" / one).exists())] == []
    searches = re.findall(r"`(\w+)=\d+ (?:DICOMOVE_\w+=\d+ )?pytest (\S+?)`", page)
    assert len(searches) > 3
    assert [one for one, path in searches if not names(ROOT / path, one)] == []


def names(path: Path, variable: str) -> bool:
    """Say whether a test, or one in a folder, reads a variable."""
    files = sorted(path.glob("test_*.py")) if path.is_dir() else [path]
    return any(variable in file.read_text() for file in files)


def test_tests_in_an_activated_environment_find_dcmtk_before_pynetdicom() -> None:
    """Both bring a command `storescp`."""
    own = Path(sys.executable).parent
    assert (own / "storescp").exists(), "pynetdicom brings this command no longer: tests/__init__.py can go"
    activated = os.pathsep.join([str(own), os.environ["PATH"]])
    command = [sys.executable, "-c", "import os, tests; print(os.environ['PATH'])"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PATH": activated}
    )
    *others, last = done.stdout.strip().split(os.pathsep)
    assert last == str(own)
    assert str(own) not in others
