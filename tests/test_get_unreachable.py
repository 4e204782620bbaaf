"""`method="auto"` on a machine that the PACS cannot reach: two network namespaces with a virtual cable."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.testing.synthetic import synthetic_instances
from tests import receiving, servers

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        shutil.which("ip") is None or os.geteuid() != 0, reason="only root can make network namespaces, with iproute2"
    ),
]

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000
AT_PACS, AT_NOTEBOOK = "10.94.1.1", "10.94.1.2"
#: An address of the notebook's machine to which the PACS has no route, and one that answers no packet.
ADDRESSES = {"no route": "10.95.1.1", "silence": "10.94.1.77"}


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def _machines() -> Iterator[tuple[str, str]]:
    pacs, notebook = (f"dmg{os.getpid()}{one}" for one in ("pacs", "book"))
    with ExitStack() as stack:
        for name in (pacs, notebook):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            with _inside(name):
                _ip("link", "set", "lo", "up")
        _ip("link", "add", "cable", "netns", pacs, "type", "veth", "peer", "name", "cable", "netns", notebook)
        for name, address in ((pacs, AT_PACS), (notebook, AT_NOTEBOOK)):
            with _inside(name):
                _ip("address", "add", f"{address}/24", "dev", "cable")
                _ip("link", "set", "cable", "up")
        yield pacs, notebook


@contextmanager
def _inside(machine: str) -> Iterator[None]:
    """Let this thread, and the threads and programs that it starts, use the network of a machine."""
    with Path("/proc/thread-self/ns/net").open() as here, Path("/run/netns", machine).open() as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def _server(name: str, folder: Path, images: Path, destination: tuple[str, int]) -> Iterator[dm.Pacs]:
    folder.mkdir()
    if name == "orthanc":
        entry = {"NOTEBOOK": ["NOTEBOOK", *destination]}
        with servers.orthanc(folder, images, {}, DicomModalities=entry, DicomScuTimeout=2) as server:
            yield dm.Pacs(f"ORTHANC@{AT_PACS}:{server.dicom_port}")
    else:
        with servers.dcmqrscp(folder, images, {"NOTEBOOK": destination}, options=["-ta", "2"]) as port:
            yield dm.Pacs(f"DCMQRSCP@{AT_PACS}:{port}")


@pytest.mark.parametrize("why", ADDRESSES)
@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_auto_gets_what_cannot_be_moved(name: str, why: str, tmp_path: Path) -> None:
    held = list(synthetic_instances(studies=2, instances=3, size=64))
    images = servers.write(held, tmp_path / "images")
    studies = pd.DataFrame({"StudyInstanceUID": sorted({one.study_instance_uid for one in held})})
    folder = tmp_path / "received"
    with _machines() as (hospital, notebook), ExitStack() as stack:
        with _inside(notebook):
            receiver = stack.enter_context(
                dm.Receiver(folder, ae_title="NOTEBOOK", port=0, host=AT_NOTEBOOK, quiet_period=0.3)
            )
        with _inside(hospital):
            pacs = stack.enter_context(_server(name, tmp_path / "pacs", images, (ADDRESSES[why], receiver.port)))
        with _inside(notebook):
            moved = dm.move(studies, pacs, receiver, progress=False, journal=False)
            result = receiving.move(studies, pacs, receiver, method="auto")
    assert set(moved["outcome"]) == {"failed"}
    assert result["outcome"].tolist() == ["complete"] * 2
    assert result["method"].tolist() == ["get"] * 2
    # The first row was moved in vain; that decides for the run.
    assert result["attempts"].tolist() == [2, 1]
    assert len(receiving.files(folder)) == 6
