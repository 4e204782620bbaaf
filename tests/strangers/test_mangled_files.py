"""Mangled cohort files against Orthanc and dcmqrscp: no stranger's image is on disk, and the row says why."""

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
from tests.strangers.holdings import archive
from tests.strangers.mangled import FILES

pytestmark = pytest.mark.timeout(120)


class Ground:
    """A real PACS that holds strangers, and a receiver that it knows."""

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
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    scratch = tmp_path_factory.mktemp(request.param)
    images = servers.write(archive().instances, scratch / "images")
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving.receiver(scratch / "received", ae_title="STRANGERS"))
        known = {"STRANGERS": receiver.port}
        if request.param == "orthanc":
            port = stack.enter_context(servers.orthanc(scratch, images, known)).dicom_port
        else:
            port = stack.enter_context(servers.dcmqrscp(scratch, images, known))
        title = request.param.upper()
        yield Ground(dm.Pacs(f"{title}@127.0.0.1:{port}", calling_ae_title="STRANGERS", idle_timeout=20), receiver)


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_stranger_comes(ground: Ground, tmp_path: Path, name: str) -> None:
    case = FILES[name]
    ground.clear()
    found, moved, said = pd.DataFrame(), pd.DataFrame(), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DicomoveWarning)
        try:
            cohort = dm.read_cohort(case.write(tmp_path))
            found = dm.find(cohort, ground.pacs, level=case.level, progress=False)
            moved = dm.move(found, ground.pacs, ground.receiver, level=case.level, progress=False, journal=False)
        except DicomoveError as error:
            said.append(str(error))
    ground.receiver.flush()
    said += [str(one.message) for one in caught]
    advice = [] if moved.empty else [*found["advice"].dropna(), *moved["advice"].dropna()]
    there = ground.patients()
    assert there <= case.names, f"strangers: {there - case.names}; said: {said} {advice}"
    assert there >= case.brings, f"missing: {case.brings - there}; said: {said} {advice}"
    assert said or advice or not case.speaks, "silence"
