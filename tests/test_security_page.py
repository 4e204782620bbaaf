"""What docs/security.md promises, where no other test does."""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import socket
import ssl
import stat
from pathlib import Path

import pandas as pd
import pytest
import trustme
from pydicom import dcmread

import dicomove as dm
from dicomove.cli import tables
from dicomove.cli.main import parser
from dicomove.testing import Synthetic
from dicomove.tls import TLS, client_context, server_context
from tests import receiving

TWO = Synthetic(studies=2, instances=2, size=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of two patients."""
    folder = tmp_path_factory.mktemp("images")
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, source=TWO) as pacs:
        results = dm.move(receiving.studies(TWO, 2), pacs, receiver, progress=False)
    assert set(results["outcome"]) == {"complete"}
    return folder


def test_a_patient_who_is_deleted_leaves_no_trace(folder: Path, tmp_path: Path) -> None:
    left = tmp_path / "images"
    shutil.copytree(folder, left)
    manifest = dm.read_manifest(left)
    gone, kept = (manifest[manifest["StudyInstanceUID"] == one] for one in sorted(set(manifest["StudyInstanceUID"])))
    header = dcmread(left / gone["path"].iloc[0])
    assert header.PatientID != dcmread(left / kept["path"].iloc[0]).PatientID
    for path in gone["path"]:
        (left / path).unlink()
    shutil.rmtree(left / ".dicomove")
    with receiving.receiver(left):
        pass
    assert [(left / path).is_file() for path in kept["path"]] == [True, True]
    traces = [header.PatientID.encode(), header.StudyInstanceUID.encode()]
    for path in (one for one in left.rglob("*") if one.is_file()):
        assert [trace for trace in traces if trace in path.read_bytes()] == [], path


def test_the_bytes_before_dicm_are_zeros(folder: Path) -> None:
    for path in folder.rglob("*.dcm"):
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"


@pytest.mark.skipif(os.name != "posix", reason="files have permissions on POSIX systems")
def test_the_files_beside_the_images_are_those_of_the_page(folder: Path) -> None:
    service = folder / ".dicomove"
    names = {path.name for path in service.iterdir()}
    assert names <= {
        *("incoming", "journal.sqlite", "journal.sqlite-journal", "journal.sqlite.lock", "lock"),
        *("record.sqlite", "record.sqlite-journal"),
    }
    assert list((service / "incoming").iterdir()) == []
    modes = {name: stat.S_IMODE((service / name).stat().st_mode) for name in names}
    assert {mode for name, mode in modes.items() if name in ("journal.sqlite", "journal.sqlite-journal")} == {0o600}
    header = dcmread(next(folder.rglob("*.dcm")))
    tells = {name for name in names - {"incoming"} if str(header.PatientID).encode() in (service / name).read_bytes()}
    assert tells <= {"journal.sqlite", "record.sqlite"}


def test_tls_has_forward_secrecy_and_no_old_hash(tmp_path: Path) -> None:
    authority = trustme.CA()
    ours = tmp_path / "ours.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(ours)
    tls = TLS(certificate=ours)
    for context in (client_context(tls), server_context(tls)):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.security_level >= 2
        suites = [str(suite["name"]) for suite in context.get_ciphers()]
        assert suites
        assert [name for name in suites if not name.startswith(("ECDHE-", "DHE-", "TLS_"))] == []
        assert [name for name in suites if name.endswith("-SHA") or not re.search("AES|CHACHA20", name)] == []
    assert client_context(tls).verify_mode == ssl.CERT_REQUIRED
    assert client_context(tls).check_hostname


def test_a_cohort_from_a_pipe_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[int] = []
    read = dm.read_cohort

    def watched(path: Path) -> pd.DataFrame:
        seen.append(stat.S_IMODE(path.parent.stat().st_mode))
        assert path.parent.parent == tmp_path
        return read(path)

    monkeypatch.setattr(tables, "read_cohort", watched)
    monkeypatch.setattr("sys.stdin", io.StringIO("PatientID\n007\n"))
    assert tables.table_of(argparse.Namespace(table="-"))["PatientID"].tolist() == ["007"]
    assert seen == [0o700]
    assert list(tmp_path.iterdir()) == []


def test_the_shell_has_no_option_for_a_secret() -> None:
    (commands,) = [one for one in parser()._actions if isinstance(one.choices, dict)]
    assert isinstance(commands.choices, dict)
    options = {name for command in commands.choices.values() for one in command._actions for name in one.option_strings}
    assert len(options) > 20
    assert [name for name in options if re.search("pass|secret|token|jwt|user", name)] == []


def test_nothing_is_asked_of_the_internet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def noted(host: str | None, *rest: object, **more: object) -> object:
        asked.append(str(host))
        return look_up(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=TWO) as pacs:
        dm.retrieve(pd.DataFrame({"PatientID": ["SYN*"]}), pacs, receiver, progress=False)
    dm.report(tmp_path, tmp_path / "report.html", key="k")
    assert "127.0.0.1" in asked
    assert set(asked) <= {"127.0.0.1", "localhost", socket.gethostname()}
