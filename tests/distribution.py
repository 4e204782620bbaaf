"""Which tests run in one process, and in which order, when pytest-xdist has several processes (``pytest -n 6``).

The tests of a file stay together, since they share servers. So do the tests of a group, whatever their file::

    pytestmark = pytest.mark.xdist_group("quiet")

Files that take long begin first, so that no process is left with one of them at the end. Among them, files that compute
stand between those that wait.
"""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadGroupScheduling

#: Measure with `pytest --durations=0`. A file that is missing here is only begun later than it might be.
LONGEST: Final = (
    "tests/test_model.py",
    "tests/test_side_by_side.py",
    "tests/other_patients/test_odd_answers.py",
    "tests/test_rehearsal.py",
    "tests/test_find_limits.py",
    "tests/browser/test_panel_in_jupyterlab.py",
    "tests/test_raw_peers.py",
    "tests/test_report.py",
    "tests/test_notebooks.py",
    "tests/test_pacing_auto.py",
    "tests/test_crash.py",
    "tests/test_receiver_scan.py",
    "tests/test_receiver_death.py",
    "tests/test_find_hidden.py",
    "tests/test_receiver_attacks.py",
    "tests/test_find_odd_answers.py",
    "tests/test_receiver_reconciliation.py",
    "tests/test_namespaces.py",
    "tests/test_receiver_paths.py",
    "tests/test_odd_associations.py",
    "tests/test_executors.py",
    "tests/test_demo_pacs.py",
    "tests/test_receiver_patients.py",
    "tests/test_receiver.py",
    "tests/test_receiver_refusals.py",
    "tests/test_waits.py",
    "tests/test_cli_as_library.py",
    "tests/test_retry.py",
    "tests/browser/test_pictures.py",
    "tests/test_dimse.py",
    "tests/test_verification.py",
    "tests/test_benchmarks.py",
    "tests/test_destination.py",
    "tests/test_receiver_placing.py",
    "tests/other_patients/test_any_cohort.py",
    "tests/other_patients/test_typed_tables.py",
    "tests/test_cli.py",
    "tests/test_find_caps.py",
    "tests/test_faults_wire.py",
    "tests/test_benchmark_distance.py",
    "tests/test_systems.py",
    "tests/test_own_names.py",
    "tests/test_endings.py",
    "tests/test_namespaces_doctor.py",
    "tests/test_receiver_fuzz.py",
    "tests/test_get_unreachable.py",
    "tests/test_doctor.py",
    "tests/test_receiver_admission.py",
    "tests/test_raw_attacks.py",
    "tests/test_tls_real.py",
    "tests/test_resume.py",
)


def file_of(nodeid: str) -> str:
    """Return the file of a test."""
    return nodeid.split("::", 1)[0]


def rank(nodeid: str) -> int:
    """Return where the file of a test stands in the order."""
    file = file_of(nodeid)
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


class ByFileAndGroup(LoadGroupScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives a process the tests of a file or of a group, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        group = str(super()._split_scope(nodeid))
        return file_of(nodeid) if group == nodeid else group
