"""What users install: the built wheel, in a fresh environment, on the oldest dependencies and on the newest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from email import message_from_string
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import dicomove as dm

ROOT: Final = Path(__file__).parents[1]
DEPENDENCIES: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
EXTRAS: Final = ("excel", "parquet", "plot")
PROGRAMS: Final = "Scripts" if os.name == "nt" else "bin"

pytestmark = pytest.mark.timeout(400)

#: A user's first day: a spreadsheet in, images, tables, a picture and a report out. The wheel alone is on the path.
FIRST_DAY: Final = """
import sys
from pathlib import Path
import dicomove as dm
import numpy as np
from dicomove.cohort.values import text
from dicomove.testing import demo_pacs

assert text(np.timedelta64(90, "m"), "StudyTime") == "013000"
folder = Path(sys.argv[1])
assert Path(dm.__file__).is_relative_to(sys.prefix), dm.__file__
source = dm.read_cohort(Path(dm.__file__).parent / "testing" / "demo_cohort.csv")
source.to_excel(folder / "cohort.xlsx", index=False)
cohort = dm.read_cohort(folder / "cohort.xlsx")
assert cohort["PatientID"].tolist()[0] == "000123", cohort
with dm.Receiver(folder / "images", port=0, host="127.0.0.1") as receiver:
    with demo_pacs(destinations=receiver.as_destination()) as pacs:
        results = dm.retrieve(cohort, pacs, receiver, progress=False)
        again = dm.retrieve(cohort, pacs, receiver, progress=False)
assert again["resumed"].sum() == (results["outcome"] == "complete").sum() == 10, again
for name in ("results.csv", "results.parquet", "results.json"):
    read = dm.read_results(dm.export(results, folder / name))
    assert read["outcome"].tolist() == results["outcome"].tolist(), name
    assert read["PatientID"].tolist() == results["PatientID"].tolist(), name
dm.plot(results).savefig(folder / "flow.png")
dm.report(folder / "images", folder / "report.html")
assert (folder / "flow.png").stat().st_size > 10_000
print(dm.verdicts(cohort, results)["outcome"].value_counts().to_dict())
"""


@cache
def as_pip() -> Mapping[str, str]:
    """What uv has to be told to find packages where pip finds them: it does not read pip's configuration."""
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    index = os.environ.get("PIP_INDEX_URL") or index
    certificates = os.environ.get("PIP_CERT")
    return {
        **({"UV_DEFAULT_INDEX": index} if index and "UV_DEFAULT_INDEX" not in os.environ else {}),
        **({"SSL_CERT_FILE": certificates} if certificates and "SSL_CERT_FILE" not in os.environ else {}),
    }


def run(*command: str | os.PathLike[str], cwd: Path, **more: str) -> str:
    """Run a command that knows nothing of this checkout, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    environment |= as_pip()
    done = subprocess.run(command, cwd=cwd, env=environment | more, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    assert found, "uv is not installed: pip install uv"
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(uv, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def oldest(uv: str, folder: Path) -> Path:
    """The file of the oldest versions that `pyproject.toml` allows, with what they need."""
    found = folder / "oldest.txt"
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    compile_them = (
        uv,
        "pip",
        "compile",
        "--quiet",
        "--resolution",
        "lowest-direct",
        "--python",
        sys.executable,
        *extras,
    )
    run(*compile_them, "--output-file", found, ROOT / "pyproject.toml", cwd=folder)
    return found


def versions(uv: str, python: Path) -> Mapping[str, str]:
    listed = run(uv, "pip", "list", "--quiet", "--format", "freeze", "--python", python, cwd=python.parent)
    return dict(line.split("==") for line in listed.splitlines() if "==" in line)


def test_the_wheel_has_what_it_needs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = message_from_string(archive.read(f"dicomove-{dm.__version__}.dist-info/METADATA").decode())
    assert {"dicomove/py.typed", "dicomove/testing/demo_cohort.csv"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"dicomove", f"dicomove-{dm.__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "dicomove").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == ours
    assert about["License-Expression"] == "MIT"
    assert {line.split(", ")[0] for line in about.get_all("Project-URL", [])} >= {"Source", "Issues"}


def test_the_first_day_on_the_oldest_dependencies(uv: str, wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / PROGRAMS / "python"
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    run(uv, "pip", "install", "--quiet", "--python", python, "-r", oldest(uv, tmp_path), wheel, cwd=tmp_path)
    installed = versions(uv, python)
    named = [one.split(";")[0].split(",")[0].partition(">=") for one in DEPENDENCIES]
    for name, _, least in named:
        if least:
            assert installed[name].startswith(least), name
    assert "9 complete, 2 empty, 1 invalid" in run(python.with_name("dicomove"), "demo", cwd=tmp_path)
    told = run(python, "-c", FIRST_DAY, tmp_path, cwd=tmp_path, MPLBACKEND="agg")
    assert told.strip() == "{'complete': 9, 'empty': 2, 'invalid': 1}"


def test_the_demo_without_an_environment_of_ones_own(uv: str, wheel: Path, tmp_path: Path) -> None:
    tool = (uv, "tool", "run", "--quiet", "--isolated", "--python", sys.executable, "--from", wheel, "dicomove")
    assert "9 complete, 2 empty, 1 invalid" in run(*tool, "demo", cwd=tmp_path)
