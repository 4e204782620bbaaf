"""Faults of data sets that are not what their transfer syntax says (PS3.5 A)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import ClassVar, Final

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit
from pynetdicom.dsutils import create_file_meta, decode, encode, encode_file_meta

from dicomove.testing.archive import Instance, tolerant
from dicomove.testing.faults.base import Fault, Request

_JPEG_2000: Final = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class _Mislabels(Fault):
    """Each instance has a content, or a transfer syntax, that is not its own."""

    #: Of the C-STORE; ``None`` leaves the one of the instance.
    label: ClassVar[str | None] = None

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:
        label = self.label or instance.transfer_syntax
        return [replace(instance, transfer_syntax=label, source=lambda: self._content(instance))]

    def _content(self, instance: Instance) -> bytes:
        return instance.read()


@dataclass(frozen=True)
class ImplicitInExplicit(_Mislabels):
    """The data sets are Implicit VR, and the presentation context says Explicit VR Little Endian."""

    label: ClassVar[str | None] = ExplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance), is_implicit=True)


@dataclass(frozen=True)
class ExplicitInImplicit(_Mislabels):
    """The data sets are Explicit VR, and the presentation context says Implicit VR Little Endian."""

    label: ClassVar[str | None] = ImplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance))


@dataclass(frozen=True)
class BigEndianInLittle(_Mislabels):
    """The data sets are big endian, and the presentation context says Explicit VR Little Endian."""

    label: ClassVar[str | None] = ExplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance), is_little=False)


@dataclass(frozen=True)
class EncapsulatedInNative(_Mislabels):
    """The pixel data are compressed, and the presentation context says Explicit VR Little Endian."""

    label: ClassVar[str | None] = ExplicitVRLittleEndian

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_encapsulated(_decoded(instance)))


@dataclass(frozen=True)
class NativeInEncapsulated(_Mislabels):
    """The pixel data are not compressed, and the presentation context says JPEG 2000."""

    label: ClassVar[str | None] = JPEG2000Lossless

    def _content(self, instance: Instance) -> bytes:
        return _encoded(_decoded(instance))


@dataclass(frozen=True)
class OtherCompression(EncapsulatedInNative):
    """The pixel data are JPEG 2000, and the presentation context says JPEG."""

    label: ClassVar[str | None] = JPEGBaseline8Bit


@dataclass(frozen=True)
class MetaInDataSet(_Mislabels):
    """Each data set begins with the meta information of a file (group 0002), as if the file were sent."""

    def _content(self, instance: Instance) -> bytes:
        return _meta(instance) + instance.read()


@dataclass(frozen=True)
class SendsWholeFiles(MetaInDataSet):
    """Each data set is a whole file: preamble, prefix, meta information, and the data set."""

    def _content(self, instance: Instance) -> bytes:
        return bytes(128) + b"DICM" + super()._content(instance)


def _meta(instance: Instance) -> bytes:
    meta = create_file_meta(
        sop_class_uid=UID(instance.sop_class_uid),
        sop_instance_uid=UID(instance.sop_instance_uid),
        transfer_syntax=UID(instance.transfer_syntax),
    )
    return encode_file_meta(meta)


def _decoded(instance: Instance) -> Dataset:
    syntax = UID(instance.transfer_syntax)
    with tolerant():
        return decode(BytesIO(instance.read()), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


def _encoded(data_set: Dataset, *, is_implicit: bool = False, is_little: bool = True) -> bytes:
    with tolerant():
        return encode(data_set, is_implicit, is_little) or b""


def _encapsulated(data_set: Dataset) -> Dataset:
    """Put the bytes of the pixels into a fragment that begins like JPEG 2000."""
    if "PixelData" in data_set:
        data_set.PixelData = encapsulate([_JPEG_2000 + bytes(data_set.PixelData)])
        data_set["PixelData"].VR = "OB"
        data_set["PixelData"].is_undefined_length = True
    return data_set
