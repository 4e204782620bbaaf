from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

import dicomove
from dicomove import errors
from dicomove.moved_names import TOP_LEVEL
from dicomove.words import ADVICE

PUBLIC = [
    "CohortError",
    "Destination",
    "DicomoveError",
    "FindScu",
    "GetScu",
    "InterruptedWarning",
    "MoveJob",
    "MoveScu",
    "Pacs",
    "Receiver",
    "Retry",
    "__version__",
    "doctor",
    "echo",
    "export",
    "find",
    "index",
    "move",
    "plan",
    "plot",
    "preview",
    "query",
    "read_cohort",
    "read_journal",
    "read_manifest",
    "read_results",
    "report",
    "retrieve",
    "start_move",
    "summary",
    "verdicts",
    "verify",
]
#: Errors with an explanation of their own, which is better than any line that stands ready.
WITHOUT_ADVICE: set[str] = set()


def association_errors() -> list[type[errors.AssociationError]]:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, errors.AssociationError) and kind is not errors.AssociationError]


def test_the_public_names() -> None:
    assert dicomove.__all__ == PUBLIC
    assert sorted(dicomove.__all__) == dicomove.__all__


def test_exposed_names_are_public() -> None:
    exposed = {name for name, value in vars(dicomove).items() if not isinstance(value, types.ModuleType)}
    assert {name for name in exposed if not name.startswith("_")} | {"__version__"} == set(PUBLIC)


@pytest.mark.parametrize("name", sorted(TOP_LEVEL))
def test_a_name_that_has_moved_is_still_there_and_warns(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"from dicomove[.a-z]+ import {name}") as warned:
        found = getattr(dicomove, name)
    assert warned[0].filename == __file__
    assert getattr(importlib.import_module(f"dicomove.{TOP_LEVEL[name]}"), name) is found


def test_a_name_that_never_was_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'dicomove' has no attribute 'mvoe'"):
        getattr(dicomove, "mvoe")  # noqa: B009  # a type checker refuses the attribute


def test_every_error_and_warning_is_one_of_ours_and_in_the_tree() -> None:
    tree = errors.__doc__ or ""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 18
    for kind in kinds:
        assert issubclass(kind, errors.DicomoveError | errors.DicomoveWarning)
        assert f" {kind.__name__} " in tree or tree.lstrip().startswith(kind.__name__) or kind.__name__ in tree.split()
    for value_error in (errors.AddressError, errors.CohortError, errors.IdentifierError):
        assert issubclass(value_error, ValueError)


def test_every_association_error_has_its_own_word_and_an_advice() -> None:
    words = [kind.error for kind in association_errors()]
    assert len(words) == len(set(words)) >= 10
    assert errors.AssociationError.error not in words
    assert set(words) - WITHOUT_ADVICE <= set(ADVICE)


def test_every_advice_is_one_line_of_whole_sentences() -> None:
    for advice in ADVICE.values():
        assert "\n" not in advice
        assert advice[0].isupper()
        assert advice[-1] in ".?"


@pytest.mark.parametrize("module", ["dicomove", "dicomove.testing"])
def test_an_import_leaves_notebooks_and_plots_alone(module: str) -> None:
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "dicomove" in loaded
    assert {"ipywidgets", "IPython", "matplotlib", "pytest"} & set(loaded) == set()


def test_an_import_says_nothing_and_starts_no_thread() -> None:
    script = "import threading, dicomove; assert threading.active_count() == 1"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(dicomove.__file__).parent / "py.typed").is_file()


def test_the_help_of_a_receiver_shows_what_users_need() -> None:
    """What a run asks of it is at `runs`, which help() does not show."""
    assert {name for name in dir(dicomove.Receiver) if not name.startswith("_")} == {
        *("address_for", "ae_title", "as_destination", "close", "dcm4chee_device", "dcmtk_host", "discrepancies"),
        *("flush", "host", "listens", "manifest", "orthanc_modality", "pid", "port", "refused", "unrequested"),
    }
