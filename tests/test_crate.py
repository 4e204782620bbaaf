"""A run as an RO-Crate, read by the library's own reader."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from rocrate.rocrate import ROCrate

import dicomove as dm
from dicomove.errors import JournalError
from dicomove.store import JOURNAL_FILE, Pseudonyms
from dicomove.testing import Synthetic
from tests import receiving

SMALL = Synthetic(studies=2, instances=2, size=64)
NAME = "ro-crate-metadata.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run: two studies, and one that the PACS does not have."""
    folder = tmp_path_factory.mktemp("images")
    cohort = pd.concat([receiving.studies(SMALL, 2), pd.DataFrame({"StudyInstanceUID": ["1.2.3"]})], ignore_index=True)
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, source=SMALL) as pacs:
        dm.move(cohort, pacs, receiver, progress=False)
    return folder


def read(path: Path) -> ROCrate:
    return ROCrate(path.parent)


def test_the_run_is_described(folder: Path, tmp_path: Path) -> None:
    crate = read(dm.export(folder, tmp_path / NAME, pseudonymize=False))
    run = dm.read_journal(folder / JOURNAL_FILE).attrs["run"]
    action = crate.root_dataset["mentions"]
    assert action.type == "CreateAction"
    assert action["startTime"] == run["started_at"]
    assert action["result"] is crate.root_dataset
    assert {one["name"]: one["softwareVersion"] for one in action["instrument"]} == run["versions"]
    cohort, pacs = action["object"]
    assert [one["value"] for one in cohort["identifier"]] == [run["cohort_sha256"]]
    assert pacs["name"] == run["pacs"]
    options = {one["name"]: one["value"] for one in action["additionalProperty"]}
    assert options["method"] == "move"
    rows = {one["name"]: one["value"] for one in crate.root_dataset["variableMeasured"]}
    assert rows["complete"] == 2
    assert sum(rows.values()) == 3


def test_the_images_have_their_hashes(folder: Path, tmp_path: Path) -> None:
    crate = read(dm.export(folder / JOURNAL_FILE, tmp_path / NAME, pseudonymize=False))
    manifest = dm.read_manifest(folder)
    assert {one.id: one["sha256"] for one in crate.data_entities} == dict(
        zip(manifest["path"], manifest["sha256"], strict=True)
    )
    assert {one["encodingFormat"] for one in crate.data_entities} == {"application/dicom"}


def test_it_identifies_no_patient(folder: Path, tmp_path: Path) -> None:
    path = dm.export(folder, tmp_path / NAME, key="our secret")
    text, manifest = path.read_text(), dm.read_manifest(folder)
    told = [*manifest["StudyInstanceUID"], *manifest["SOPInstanceUID"], "SYN0", str(folder)]
    assert [value for value in told if value in text] == []
    sha256 = dm.read_journal(folder / JOURNAL_FILE).attrs["run"]["cohort_sha256"]
    assert sha256 not in text
    assert Pseudonyms("our secret").cohort(sha256) in text
    assert len(read(path).data_entities) == len(manifest)
    assert path.read_text() != dm.export(folder, path).read_text()


def test_a_run_that_cannot_be_described_has_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="give the path of its journal"):
        dm.export(dm.read_journal(folder / JOURNAL_FILE), tmp_path / NAME)
    with pytest.raises(JournalError, match="there is no"):
        dm.export(tmp_path / "none", tmp_path / NAME)
    monkeypatch.setattr("dicomove.store.crate.find_spec", lambda _: None)
    with pytest.raises(ImportError, match="provenance"):
        dm.export(folder, tmp_path / NAME)
    assert not (tmp_path / NAME).exists()
