"""Faults of instances: sent twice or not at all, of another study, corrupted, empty, private, slow.

Some data sets do not have the transfer syntax of their presentation context (PS3.5 A).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    generate_uid,
)

from dicomove.dimse.data_sets import decode, encode, file_head
from dicomove.testing.archive import Instance, tolerant
from dicomove.testing.faults.base import Fault, Request, Response

PRIVATE_SOP_CLASS = "1.3.46.670589.2.5.1.1"

_PREAMBLE_BYTES: Final = 132
_JPEG_2000: Final = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class StoresTwice(Fault):
    """The PACS sends each instance twice: an archive with two copies of a study, or Orthanc if a UID occurs twice."""

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [instance, instance]


@dataclass(frozen=True)
class StoresAnotherStudy(Fault):
    """The PACS also sends an instance of another study; Orthanc does so for a shared accession number."""

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        wanted = {instance.study_instance_uid for instance in instances}
        stray = next((one for one in request.archive.instances if one.study_instance_uid not in wanted), None)
        return [*instances, stray] if stray and instances else instances


@dataclass(frozen=True)
class LosesInstances(Fault):
    """The PACS neither sends nor counts some instances: the study is in two archives, and one of them is down.

    Parameters
    ----------
    keep
        The share of instances to send.
    """

    keep: float = 0.5

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        return instances[: max(1, int(len(instances) * self.keep))]


@dataclass(frozen=True)
class _Rewrites(Fault):
    """The PACS changes the data set of each instance."""

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [replace(instance, source=lambda: self._rewritten(instance.read()))]

    def _rewritten(self, data: bytes) -> bytes:
        raise NotImplementedError


@dataclass(frozen=True)
class CorruptsInstances(_Rewrites):
    """Bytes in the middle of each data set are wrong: bad disks, bad memory."""

    def _rewritten(self, data: bytes) -> bytes:
        middle = len(data) // 2
        return data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 64]) + data[middle + 64 :]


@dataclass(frozen=True)
class TruncatesInstances(_Rewrites):
    """Each data set ends in the middle of its pixel data."""

    def _rewritten(self, data: bytes) -> bytes:
        return data[: len(data) * 3 // 8 * 2]


@dataclass(frozen=True)
class EmptyInstances(_Rewrites):
    """The data set of each C-STORE is empty."""

    def _rewritten(self, data: bytes) -> bytes:
        return b""


@dataclass(frozen=True)
class GarbageInstances(_Rewrites):
    """The data set of each C-STORE is random bytes, without a valid element."""

    def _rewritten(self, data: bytes) -> bytes:
        return bytes(range(255, 0, -1)) * 4


@dataclass(frozen=True)
class PrivateSopClasses(Fault):
    """The instances have a private SOP class, like raw data of Philips and GE (Orthanc then drops the rest)."""

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [replace(instance, sop_class_uid=PRIVATE_SOP_CLASS)]


@dataclass(frozen=True)
class OtherInstanceUids(Fault):
    """The SOP Instance UID of each C-STORE is new, from a pseudonymising gateway."""

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [replace(instance, sop_instance_uid=generate_uid(entropy_srcs=[instance.sop_instance_uid]))]


@dataclass(frozen=True)
class _Get(Fault):
    commands: ClassVar[tuple[str, ...]] = ("C-GET",)


@dataclass(frozen=True)
class GetSendsSome(_Get):
    """C-GET sends only every second instance, but counts all as completed and answers Success.

    Parameters
    ----------
    every
        2 to leave out every second instance, 3 for every third, and so on.
    """

    every: int = 2

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [] if int(instance.sop_instance_uid.rsplit(".", 1)[-1]) % self.every == 0 else [instance]


@dataclass(frozen=True)
class GetSendsNothing(_Get):
    """C-GET answers Success, without counts and without a C-STORE."""

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        return []

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        return [replace(response, completed=None, failed=None, warning=None, remaining=None)]


@dataclass(frozen=True)
class AssociationPerInstance(Fault):
    """Each instance arrives over a separate association (dcm4chee-arc-light#2225; Orthanc: one per SOP class)."""

    commands: ClassVar[tuple[str, ...]] = ("C-MOVE",)
    association_per_instance: ClassVar[bool] = True


@dataclass(frozen=True)
class Bandwidth(Fault):
    """The PACS sends the instances slowly.

    Parameters
    ----------
    bytes_per_second
        The rate.
    """

    bytes_per_second: float = 1_000_000

    def on_stored(self, request: Request, instance: Instance, status: int) -> int:
        time.sleep(len(instance.read()) / self.bytes_per_second)
        return status


@dataclass(frozen=True)
class Mislabels(Fault):
    """The content and the transfer syntax of each instance do not fit."""

    #: The transfer syntax of the C-STORE; ``None`` keeps that of the instance.
    label: ClassVar[str | None] = None

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        label = self.label or instance.transfer_syntax
        return [replace(instance, transfer_syntax=label, source=lambda: self._mislabelled(instance))]

    def _mislabelled(self, instance: Instance) -> bytes:
        try:
            return self._content(instance)
        except Exception:  # noqa: BLE001 (another fault has damaged the data set before: pydicom then raises any error)
            return instance.read()

    def _content(self, instance: Instance) -> bytes:
        return instance.read()


@dataclass(frozen=True)
class ImplicitInExplicit(Mislabels):
    """The data sets are Implicit VR, but the presentation context is Explicit VR Little Endian."""

    label: ClassVar[str | None] = ExplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance), ImplicitVRLittleEndian)


@dataclass(frozen=True)
class ExplicitInImplicit(Mislabels):
    """The data sets are Explicit VR, but the presentation context is Implicit VR Little Endian."""

    label: ClassVar[str | None] = ImplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance))


@dataclass(frozen=True)
class BigEndianInLittle(Mislabels):
    """The data sets are big endian, but the presentation context is Explicit VR Little Endian."""

    label: ClassVar[str | None] = ExplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance), ExplicitVRBigEndian)


@dataclass(frozen=True)
class EncapsulatedInNative(Mislabels):
    """The pixel data are compressed, but the presentation context is Explicit VR Little Endian."""

    label: ClassVar[str | None] = ExplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_encapsulated(_decoded(instance)))


@dataclass(frozen=True)
class NativeInEncapsulated(Mislabels):
    """The pixel data are not compressed, but the presentation context is JPEG 2000."""

    label: ClassVar[str | None] = JPEG2000Lossless

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance))


@dataclass(frozen=True)
class OtherCompression(EncapsulatedInNative):
    """The pixel data are JPEG 2000, but the presentation context is JPEG."""

    label: ClassVar[str | None] = JPEGBaseline8Bit


@dataclass(frozen=True)
class MetaInDataSet(Mislabels):
    """Each data set begins with the meta information of a file (group 0002)."""

    def _content(self, instance: Instance) -> bytes:
        return _file(instance)[_PREAMBLE_BYTES:]


@dataclass(frozen=True)
class SendsWholeFiles(MetaInDataSet):
    """Each data set is a whole file: preamble, prefix, meta information, and the data set."""

    def _content(self, instance: Instance) -> bytes:
        return _file(instance)


def _file(instance: Instance) -> bytes:
    return file_head(instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax) + instance.read()


def _decoded(instance: Instance) -> Dataset:
    with tolerant():
        return decode(instance.read(), instance.transfer_syntax)


def _encoded(data_set: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    with tolerant():
        return encode(data_set, transfer_syntax)


def _encapsulated(data_set: Dataset) -> Dataset:
    """Put the bytes of the pixels into a fragment that begins like JPEG 2000."""
    if "PixelData" in data_set:
        data_set.PixelData = encapsulate([_JPEG_2000 + bytes(data_set.PixelData)])
        data_set["PixelData"].VR = "OB"
        data_set["PixelData"].is_undefined_length = True
    return data_set
