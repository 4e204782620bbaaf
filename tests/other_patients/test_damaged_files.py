"""Damaged cohort files against Orthanc and dcmqrscp: no other patient's image is on disk, and the row says why."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
from pydicom import dcmread

import dicomove as dm
from dicomove.errors import DicomoveError, DicomoveWarning
from dicomove.files import SERVICE_FOLDER
from tests import receiving, servers
from tests.other_patients.archive import archive
from tests.other_patients.damaged_files import FILES

pytestmark = pytest.mark.timeout(120)


class Servers:
    """A real PACS with other patients, and a receiver that it knows."""

    def __init__(self, pacs: dm.Pacs, receiver: dm.Receiver) -> None:
        self.pacs, self.receiver = pacs, receiver

    def patients(self) -> set[str]:
        """Whose images have a final name."""
        return {str(dcmread(path).PatientID or "") for path in self._files()}

    def clear(self) -> None:
        for path in [*self._files(), *self.receiver.folder.rglob("*.quarantined")]:
            path.unlink()

    def _files(self) -> list[Path]:
        files = self.receiver.folder.rglob("*.dcm")
        return [path for path in files if SERVICE_FOLDER not in path.parts]


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def at(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    scratch = tmp_path_factory.mktemp(request.param)
    images = servers.write(archive().instances, scratch / "images")
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving.receiver(scratch / "received", ae_title="RESEARCH"))
        known = {"RESEARCH": receiver.port}
        if request.param == "orthanc":
            port = stack.enter_context(servers.orthanc(scratch, images, known)).dicom_port
        else:
            port = stack.enter_context(servers.dcmqrscp(scratch, images, known))
        title = request.param.upper()
        yield Servers(dm.Pacs(f"{title}@127.0.0.1:{port}", calling_ae_title="RESEARCH", idle_timeout=20), receiver)


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_other_patient_comes(at: Servers, tmp_path: Path, name: str) -> None:
    case = FILES[name]
    at.clear()
    found, moved, said = pd.DataFrame(), pd.DataFrame(), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DicomoveWarning)
        try:
            cohort = dm.read_cohort(case.write(tmp_path))
            found = dm.find(cohort, at.pacs, level=case.level, progress=False)
            moved = dm.move(found, at.pacs, at.receiver, level=case.level, progress=False, journal=False)
        except DicomoveError as error:
            said.append(str(error))
    at.receiver.flush()
    said += [str(one.message) for one in caught]
    advice = [] if moved.empty else [*found["advice"].dropna(), *moved["advice"].dropna()]
    there = at.patients()
    assert there <= case.names, f"other patients: {there - case.names}; said: {said} {advice}"
    assert there >= case.brings, f"missing: {case.brings - there}; said: {said} {advice}"
    assert said or advice or not case.speaks, "silence"
