"""What the tests of the receiver share: receivers, PACS that move to them, and peers that store."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

import dicomove as dm
from dicomove.dimse.data_sets import data_set_offset, file_head
from dicomove.testing import Synthetic, faults
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.associations import Listener, storing
from dicomove.testing.faults.base import Fault, Refuse, Request
from dicomove.testing.faults.injector import Injector
from dicomove.testing.server import QueryRetrieveScp
from tests import servers

QUIET_S = 0.3
SMALL = Synthetic(studies=6, instances=6, size=512)
LAYERED = Synthetic(studies=2, series=2, instances=3, size=512, patients=1)


def receiver(folder: Path, **options: Any) -> dm.Receiver:
    """A receiver at a port that the system picks."""
    return dm.Receiver(folder, **{"port": 0, "host": "127.0.0.1", "quiet_period": QUIET_S, **options})


@dataclass(frozen=True)
class InPieces(Fault):
    """A study comes incomplete, and is then asked for series by series; something happens at the n-th series."""

    number: int
    happens: Callable[[], object]
    seen: list[str] = field(default_factory=list)

    def on_request(self, request: Request) -> None:
        self.seen.append(request.level)
        if request.level == "IMAGE":
            raise Refuse(0xA900, "no lists")
        if self.seen.count("SERIES") == self.number and request.level == "SERIES":
            self.happens()

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        return instances[::2] if request.level == "STUDY" else instances


@contextmanager
def pacs(
    destinations: dm.Receiver | Mapping[str, tuple[str, int]],
    *present: Fault,
    source: Synthetic | Archive = SMALL,
    kind: type[QueryRetrieveScp] = QueryRetrieveScp,
    **options: Any,
) -> Iterator[dm.Pacs]:
    """The rehearsal PACS in a thread: a process of its own for each fault would take a minute."""
    archive = source if isinstance(source, Archive) else Archive(source.instances_of_all())
    where = destinations.as_destination() if isinstance(destinations, dm.Receiver) else destinations
    injector = Injector(present)
    scp = kind("PACS", archive, where, injector)
    with Listener(
        scp, gate=injector.enter, associate=injector.associate, max_pdu_length=injector.max_pdu_length
    ) as listener:
        yield dm.Pacs(f"PACS@127.0.0.1:{listener.port}", **options)


def studies(source: Synthetic = SMALL, count: int = 1) -> pd.DataFrame:
    """The first studies of an archive."""
    uids = dict.fromkeys(one.study_instance_uid for one in source.instances_of_all())
    return pd.DataFrame({"StudyInstanceUID": list(uids)[:count]})


def move(table: pd.DataFrame, pacs: dm.Pacs, receiver: dm.Receiver, **options: Any) -> pd.DataFrame:
    """Move, and take no notice of what an earlier move brought."""
    return dm.move(table, pacs, receiver, **{"progress": False, "journal": False, **options})


@contextmanager
def disk(folder: Path, size: int) -> Iterator[int]:
    """A folder on a disk in memory, whose bytes no other program takes or frees; yield how many are free.

    Only root may mount one. For others, the folder is on the disk that all programs share.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "dicomove", str(folder)]
    may_mount = sys.platform == "linux" and os.geteuid() == 0
    is_mounted = may_mount and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield shutil.disk_usage(folder).free
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def row(result: pd.DataFrame, *columns: str) -> tuple[object, ...]:
    """The only row, with None for what is null."""
    assert len(result) == 1
    values = result[list(columns)].astype(object).iloc[0]
    return tuple(None if pd.isna(value) else value for value in values)


def columns(result: pd.DataFrame, *names: str) -> list[tuple[object, ...]]:
    """The rows of some columns, with None for what is null."""
    cells = result[list(names)].astype(object)
    return list(cells.where(cells.notna(), None).itertuples(index=False, name=None))


def values(result: pd.DataFrame, *names: str) -> list[list[object]]:
    """The cells of some columns, with None for what is null."""
    found = result[list(names)].astype(object)
    return found.where(found.notna(), None).to_numpy().tolist()


def as_file(one: Instance) -> bytes:
    """The file that a receiver makes of an instance."""
    return file_head(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax) + one.read()


def send(receiver: dm.Receiver, *instances: Instance, called: str = "", calling: str = "PEER") -> list[int]:
    """Store instances from 127.0.0.1 over one association, and return the statuses."""
    address = ("127.0.0.1", receiver.port)
    with storing(address, called or receiver.ae_title, calling, instances, ("ORIGINATOR", 7)) as store:
        return [store(instance) for instance in instances]


def instance(study: str = "1.2.3", uid: str = "1.2.3.4.5", pixels: bytes = b"pixels", **values: str) -> Instance:
    """One instance in Explicit VR Little Endian; `values` are further elements, by keyword."""
    named = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "PatientID": "P1",
        **values,
    }
    data = b"".join(_element(keyword, named[keyword]) for keyword in sorted(named, key=Tag))
    data += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(pixels)) + pixels
    return Instance(
        sop_class_uid=CTImageStorage,
        sop_instance_uid=uid,
        transfer_syntax=ExplicitVRLittleEndian,
        study_instance_uid=study,
        series_instance_uid=named["SeriesInstanceUID"],
        patient_id=named["PatientID"],
        describe=Dataset,
        source=lambda: data,
    )


def _element(keyword: str, value: str) -> bytes:
    tag, vr, content = Tag(keyword), dictionary_VR(keyword), value.encode()
    content += (b"\0" if vr == "UI" else b" ") * (len(content) % 2)
    return struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), len(content)) + content


def data_set(path: Path) -> bytes:
    """The data set in a file, bit for bit."""
    return path.read_bytes()[data_set_offset(path) :]


def files(folder: Path) -> dict[str, Path]:
    """The files under final names, by their name without the suffix."""
    return {path.stem: path for path in folder.rglob("*.dcm")}


def partial(folder: Path) -> list[Path]:
    """What is half-written."""
    return list(folder.rglob("*.part"))


def assert_whole(folder: Path, source: Synthetic) -> None:
    """Nothing is under a final name that differs from what the PACS holds."""
    sent = {one.sop_instance_uid: one for one in source.instances_of_all()}
    for uid, path in files(folder).items():
        assert data_set(path) == sent[uid].read(), path


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def is_free(port: int) -> bool:
    """Whether one could listen at a port."""
    with socket.socket() as sock:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen()
        except OSError:
            return False
        return True


@contextmanager
def slow_line(port: int, piece: int = 1 << 16, pause_s: float = 0.05) -> Iterator[int]:
    """A port that forwards to another in small pieces, slowly."""

    def forward(client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            back = threading.Thread(target=servers._pump, args=(upstream, client), daemon=True)
            back.start()
            with suppress(OSError):
                while data := client.recv(piece):
                    upstream.sendall(data)
                    if len(data) == piece:
                        time.sleep(pause_s)
            with suppress(OSError):
                upstream.shutdown(socket.SHUT_WR)
            back.join()

    with servers.listening(forward) as slow:
        yield slow


@dataclass(frozen=True)
class SlowStores(Fault):
    """Each instance is on its way for a while, also after the final response."""

    seconds: float = 0.1

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:  # noqa: ARG002 (as in `Fault`)
        def read() -> bytes:
            time.sleep(self.seconds)
            return instance.read()

        return [replace(instance, source=read)]


@dataclass(frozen=True)
class HidesAnInstance(faults.AnswersFind):
    """A C-FIND of instances lists one too few."""

    def on_request(self, request: Request) -> None:
        """Go on."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        return matches[1:] if request.level == "IMAGE" else matches


@dataclass(frozen=True)
class MovesByTheDeepestKey(Fault):
    """As Orthanc: the unique key of the level alone says what is moved."""

    def on_selection(self, request: Request, _: list[Instance]) -> list[Instance]:
        keyword, field_name = {
            "STUDY": ("StudyInstanceUID", "study_instance_uid"),
            "SERIES": ("SeriesInstanceUID", "series_instance_uid"),
            "IMAGE": ("SOPInstanceUID", "sop_instance_uid"),
        }[request.level]
        wanted = request.keys[keyword].split("\\")
        return [one for one in request.archive.instances if getattr(one, field_name) in wanted]


#: The answers of C-FIND name what other patients have, and not whose it is.
OF_ALL_PATIENTS: tuple[Fault, ...] = (
    faults.FindIgnoresAllKeys(),
    faults.FindWithoutUpperUids(),
    MovesByTheDeepestKey(),
)


def outcomes(results: pd.DataFrame) -> list[str]:
    """The outcomes, with "resumed" for what an earlier run had completed."""
    resumed = results["resumed"]
    assert results.loc[resumed, ["outcome", "attempts"]].eq(["complete", 0]).all(axis=None)
    return results["outcome"].mask(resumed, "resumed").tolist()


def refused(receiver: dm.Receiver) -> dict[str, int]:
    """Return how many connections the receiver turned away, by address."""
    found = receiver.refused
    return {str(address): int(count) for address, count in found.groupby("address")["count"].sum().items()}
