from __future__ import annotations

from pathlib import Path

import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_fragments
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicomove.dimse.data_sets import data_set_offset
from dicomove.receiver.own_process.transfer_syntax_check import HEAD_BYTES, Content, contradiction, without_pixel_data

REAL = Path(pydicom.data.__file__).parent / "test_files"
IMPLICIT = b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100"
EXPLICIT = b"\x08\0\x05\0CS\x0a\0ISO_IR 100"
BIG = b"\0\x08\0\x05CS\0\x0aISO_IR 100"
HEADS: dict[str, bytes] = {ImplicitVRLittleEndian: IMPLICIT, ExplicitVRLittleEndian: EXPLICIT, ExplicitVRBigEndian: BIG}
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080200020001011100")
JPEG_LS = bytes.fromhex("ffd8fff7000b080200020001011100")
JPEG_2000 = bytes.fromhex("ff4fff51002f")
JP2 = bytes.fromhex("0000000c6a5020200d0a870a")
RLE = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)


@pytest.mark.parametrize("label", HEADS, ids=str)
@pytest.mark.parametrize("content", HEADS, ids=str)
def test_each_encoding_under_each_label(label: str, content: str) -> None:
    found = contradiction(label, Content(HEADS[content]))
    assert (found is None) == (label == content)
    if found:
        assert label in found


@pytest.mark.parametrize("label", [JPEGBaseline8Bit, RLELossless, JPEG2000Lossless])
def test_a_compressed_data_set_is_explicit_little_endian(label: str) -> None:
    assert contradiction(label, Content(EXPLICIT)) is None
    assert "Implicit VR" in (contradiction(label, Content(IMPLICIT)) or "")


@pytest.mark.parametrize("head", [EXPLICIT, IMPLICIT])
def test_a_data_set_in_the_syntax_of_a_manufacturer_may_have_any_form(head: bytes) -> None:
    assert contradiction("1.2.840.113619.5.2", Content(head)) is None
    assert contradiction("1.3.46.670589.33.1.4.1", Content(head, "native")) is None


@pytest.mark.parametrize("label", [*HEADS, DeflatedExplicitVRLittleEndian])
def test_compressed_pixel_data_in_a_native_syntax(label: str) -> None:
    head = HEADS.get(label, EXPLICIT)
    assert "are compressed" in (contradiction(label, Content(head, "encapsulated", JPEG)) or "")
    assert contradiction(label, Content(head, "native")) is None
    assert contradiction(label, Content(head)) is None


@pytest.mark.parametrize("label", [JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_native_pixel_data_in_a_compressed_syntax(label: str) -> None:
    assert "are not compressed" in (contradiction(label, Content(EXPLICIT, "native")) or "")
    assert contradiction(label, Content(EXPLICIT)) is None


CODINGS: dict[str, list[bytes]] = {
    JPEGBaseline8Bit: [JPEG],
    JPEGLSLossless: [JPEG_LS],
    JPEG2000Lossless: [JPEG_2000, JP2],
    RLELossless: [RLE],
}


@pytest.mark.parametrize("label", CODINGS, ids=str)
@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_each_coding_under_each_label(label: str, coding: str) -> None:
    for fragment in CODINGS[coding]:
        assert (contradiction(label, Content(EXPLICIT, "encapsulated", fragment)) is None) == (label == coding)


@pytest.mark.parametrize(
    "fragment",
    [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xe0" + bytes(60), b"\xff\xd8\xff\xff\xff\xda\0\0", bytes(64), b"?" * 80],
)
@pytest.mark.parametrize("label", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless, "1.2.3.4"])
def test_uncertain_contents_are_accepted(label: str, fragment: bytes) -> None:
    found = contradiction(label, Content(EXPLICIT, "encapsulated", fragment))
    # Without a frame marker, the start of an image is of JPEG or JPEG-LS, and of nothing else.
    is_of_other = fragment.startswith(b"\xff\xd8") and label in (JPEG2000Lossless, RLELossless)
    assert ("JPEG or JPEG-LS" in (found or "")) == is_of_other
    assert (found is None) != is_of_other


@pytest.mark.parametrize("pixels", ["native", "encapsulated"])
def test_an_unknown_transfer_syntax_is_believed(pixels: str) -> None:
    assert contradiction("1.2.3.4", Content(EXPLICIT, pixels, JPEG)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("head", [b"\x02\0\0\0UL\x04\0", bytes(128) + b"DICM"])
def test_meta_information_in_the_data_set(head: bytes) -> None:
    for label in HEADS:
        assert "group 0002" in (contradiction(label, Content(head)) or "")


@pytest.mark.parametrize("head", [b"", b"\x08\0\x05", b"\x10\0\x20\0\x04\0\0\0", b"\0\x08\0\x05\0\0\0\x0a"])
def test_a_head_that_says_nothing(head: bytes) -> None:
    assert contradiction(ExplicitVRLittleEndian, Content(head)) is None


#: Its data set is Implicit VR, and its transfer syntax JPEG: pydicom, too, warns of it.
CONTRADICTS_ITSELF = "SC_rgb_jpeg.dcm"


@pytest.mark.filterwarnings("ignore:Expected explicit VR")
@pytest.mark.parametrize("path", sorted(REAL.glob("*.dcm")), ids=lambda path: path.name)
def test_no_file_that_pydicom_brings_contradicts_itself_but_one(path: Path) -> None:
    try:
        read = dcmread(path)
        label = read.file_meta.TransferSyntaxUID
    except (InvalidDicomError, AttributeError, NotImplementedError):
        return
    if label.is_deflated or "PixelData" not in read:
        return
    encapsulated = read["PixelData"].is_undefined_length
    data = path.read_bytes()[data_set_offset(path) :]
    fragment = next(iter(list(generate_fragments(read.PixelData))[1:]), b"") if encapsulated else b""
    content = Content(data[:HEAD_BYTES], "encapsulated" if encapsulated else "native", fragment[:1024])
    assert (contradiction(label, content) is None) == (path.name != CONTRADICTS_ITSELF)


@pytest.mark.parametrize(
    ("sop_class", "has_images"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", True),
        ("1.2.840.10008.5.1.4.1.1.1.1", True),
        ("1.2.840.10008.5.1.4.1.1.77.1.1.1", True),
        ("1.2.840.10008.5.1.4.1.1.88.11", False),
        ("1.2.840.10008.5.1.4.1.1.11.1", False),
        ("1.2.840.113619.4.30", False),
        ("1.2.840.113619.4.030", False),
        ("not a UID", False),
        ("", False),
    ],
)
def test_images_without_pixel_data(sop_class: str, has_images: bool) -> None:
    assert (without_pixel_data(sop_class, Content(EXPLICIT)) is not None) == has_images
    assert without_pixel_data(sop_class, Content(EXPLICIT, "native")) is None
    assert without_pixel_data(sop_class, Content(EXPLICIT, "encapsulated")) is None
    assert without_pixel_data(sop_class, Content(EXPLICIT, "other")) is None
