"""Faults of instances: sent twice, of another study, corrupted, empty, private, slow, over many associations."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

from pydicom.uid import generate_uid

from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, Request

PRIVATE_SOP_CLASS = "1.3.46.670589.2.5.1.1"


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
    """The SOP Instance UID of each C-STORE is a new one, from a pseudonymising gateway."""

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        return [replace(instance, sop_instance_uid=generate_uid(entropy_srcs=[instance.sop_instance_uid]))]


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
