from __future__ import annotations

import random
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom import DataElement, Dataset, Sequence, dcmread
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, JPEGBaseline8Bit, RLELossless
from pydicom.valuerep import PersonName

from dicomove.receiver.own_process.scan import DataSetScanner, text
from dicomove.receiver.own_process.transfer_syntax_check import contradiction

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, RLE, PRIVATE = "1.2.840.10008.1.2.1.99", str(RLELossless), "1.2.3.4.5"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG, DEFLATED, RLE, PRIVATE)

CHARSET, SOP, STUDY, SERIES, PATIENT = 0x00080005, 0x00080018, 0x0020000D, 0x0020000E, 0x00100020
PIXELS = 0x7FE00010
WANTED = (CHARSET, SOP, PATIENT, STUDY, SERIES)

often = settings(
    derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), database=None
)
cuts = st.one_of(st.just([1]), st.lists(st.integers(1, 40), min_size=1), st.lists(st.integers(1, 5000), min_size=1))


def pieces(data: bytes, sizes: list[int]) -> Iterator[memoryview]:
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield memoryview(data)[at : at + size]
        at, turn = at + size, turn + 1


def scan(
    data: bytes, syntax: str = EXPLICIT, sizes: list[int] | None = None, wanted: tuple[int, ...] = WANTED
) -> DataSetScanner:
    scanner = DataSetScanner(syntax, wanted)
    for piece in pieces(data, sizes or [max(1, len(data))]):
        scanner.feed(piece)
    return scanner


def deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def encoded(dataset: Dataset, syntax: str) -> bytes:
    """The data set as pydicom writes it."""
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(file, dataset)
    return deflate(file.getvalue()) if syntax == DEFLATED else file.getvalue()


def long(tag: int, vr: bytes, length: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length) + value


def short(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def plain(tag: int, value: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


UNDEFINED = 0xFFFFFFFF
ITEM = plain(0xFFFEE000, length=UNDEFINED)
ITEM_END, SEQUENCE_END = plain(0xFFFEE00D), plain(0xFFFEE0DD)
FIRST, LAST = short(SOP, b"UI", b"1.2.3\0"), short(STUDY, b"UI", b"1.2\0")


# --- data sets that pydicom writes ------------------------------------------------------------------------------------

texts = st.text("ABC 123", max_size=30)
uids = st.lists(st.integers(0, 10**9), min_size=2, max_size=5).map(lambda parts: ".".join(map(str, parts)))
blobs = st.one_of(st.binary(max_size=40), st.sampled_from([bytes(1500), b"LO" * 2000])).map(
    lambda value: value + b"\0" * (len(value) % 2)
)


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2, *, pixels: bool = True) -> Dataset:
    dataset = Dataset()
    for tag, vr, values in (
        (CHARSET, "CS", st.sampled_from(["ISO_IR 100", "ISO_IR 192"])),
        (SOP, "UI", uids),
        (PATIENT, "LO", texts),
        (0x00104000, "LT", st.sampled_from(["", "abc", "abc " * 1000])),
        (STUDY, "UI", uids),
        (SERIES, "UI", uids),
        (0x00200013, "IS", st.integers(0, 9999)),
        (0x00280010, "US", st.integers(0, 65535)),
        (0x00090010, "LO", st.just("dicomove")),
        (0x00091001, "OB", blobs),
        (0x00091002, "UN", blobs),
        (0x00420011, "OB", blobs),
    ):
        if draw(st.booleans()):
            dataset.add(DataElement(tag, vr, draw(values)))
    for tag in (0x00081115, 0x00091003, 0x00400275, 0x30060010) if depth else ():
        if draw(st.integers(0, 2)) == 0:
            items = draw(st.lists(datasets(depth - 1, pixels=pixels), max_size=2))
            for item in items:
                item.is_undefined_length_sequence_item = draw(st.booleans())
            dataset.add(DataElement(tag, "SQ", Sequence(items)))
            dataset[tag].is_undefined_length = draw(st.booleans())
    if pixels and draw(st.booleans()):
        frames = draw(st.lists(st.binary(min_size=2, max_size=200), min_size=1, max_size=3))
        dataset.add(DataElement(PIXELS, "OB", encapsulate(frames)))
        dataset[PIXELS].is_undefined_length = True
    return dataset


def raw(dataset: Dataset, tag: int) -> bytes | None:
    if tag not in dataset:
        return None
    value = str(dataset[tag].value).encode()
    return value + (b"\0" if dataset[tag].VR == "UI" else b" ") * (len(value) % 2)


@pytest.mark.parametrize("syntax", SYNTAXES)
@often
@given(data=st.data(), sizes=cuts)
def test_the_scan_finds_the_values_that_pydicom_reads(syntax: str, data: st.DataObject, sizes: list[int]) -> None:
    dataset = data.draw(datasets(pixels=syntax in (RLE, PRIVATE)).filter(len))
    content = encoded(dataset, syntax)
    scanner = scan(content, syntax, sizes)
    expected = {tag: value for tag in WANTED if (value := raw(dataset, tag)) is not None}
    assert scanner.values == expected
    if syntax != DEFLATED or expected:
        assert scanner.problem() is None


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, RLE])
@settings(often, max_examples=25)
@given(data=st.data())
def test_every_cut_inside_an_element_is_a_problem(syntax: str, data: st.DataObject) -> None:
    dataset = data.draw(datasets(depth=1, pixels=syntax == RLE).filter(len))
    whole, starts = b"", {0}
    for tag in sorted(dataset.keys()):
        one = Dataset()
        one.add(dataset[tag])
        whole += encoded(one, syntax)
        starts.add(len(whole))
    assert whole == encoded(dataset, syntax)
    scanner = DataSetScanner(syntax, WANTED)
    for at in range(len(whole)):
        assert (scanner.problem() is None) == (at in starts and at > 0), at
        scanner.feed(whole[at : at + 1])
    assert scanner.problem() is None


@often
@given(dataset=datasets(pixels=False).filter(len), sizes=cuts, data=st.data())
def test_a_deflated_data_set_that_is_cut_is_a_problem(dataset: Dataset, sizes: list[int], data: st.DataObject) -> None:
    content = encoded(dataset, DEFLATED)
    scanner = scan(content[: data.draw(st.integers(0, len(content) - 1))], DEFLATED, sizes)
    assert scanner.problem() is not None


# --- real files -------------------------------------------------------------------------------------------------------

REAL = Path(pydicom.data.__file__).parent / "test_files"
TRUNCATED = {
    "MR_truncated.dcm": "the data set ends inside of (7FE0,0010)",
    "rtplan_truncated.dcm": "the data set ends inside of (300A,00B0)",
}


def real_data_sets() -> Iterator[tuple[str, Dataset, bytes]]:
    """The files that come with pydicom, and what stands behind their File Meta Information."""
    for path in sorted(REAL.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        if content[128:132] != b"DICM":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path)
        if "TransferSyntaxUID" in dataset.file_meta and "FileMetaInformationGroupLength" in dataset.file_meta:
            yield path.name, dataset, content[132 + 12 + dataset.file_meta.FileMetaInformationGroupLength :]


@pytest.mark.parametrize("size", [7, 997, 16384])
def test_real_files_give_the_uids_that_pydicom_reads(size: int) -> None:
    problems, syntaxes = {}, set()
    for name, dataset, content in real_data_sets():
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        scanner = scan(content, syntax, [size], wanted=(SOP, STUDY, SERIES))
        found = [text(scanner.values, tag) for tag in (SOP, STUDY, SERIES)]
        assert found == [str(dataset[tag].value or "") if tag in dataset else "" for tag in (SOP, STUDY, SERIES)], name
        syntaxes.add(syntax)
        problem = scanner.problem()
        if problem is not None:
            problems[name] = problem
    assert problems == TRUNCATED
    assert len(syntaxes) >= 12
    assert {IMPLICIT, EXPLICIT, BIG, DEFLATED} <= syntaxes


# --- sequences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[1], [13], [1 << 20]])
def test_sequences_are_nested_to_any_depth(sizes: list[int]) -> None:
    depth = 20_000
    opened = (long(0x00081115, b"SQ", UNDEFINED) + ITEM) * depth
    scanner = scan(FIRST + opened + LAST, sizes=sizes)
    assert scanner.problem() == "the data set ends inside of (0008,1115)"
    assert STUDY not in scanner.values
    scanner.feed((ITEM_END + SEQUENCE_END) * depth + LAST)
    assert scanner.problem() is None
    assert scanner.values == {SOP: b"1.2.3\0", STUDY: b"1.2\0"}


@pytest.mark.parametrize("sizes", [[1], [5], [1 << 20]])
@pytest.mark.parametrize("order", ["<", ">"])
def test_unknown_vr_with_undefined_length_is_implicit_little_endian(order: str, sizes: list[int]) -> None:
    def element(tag: int, vr: bytes, value: bytes) -> bytes:
        return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    unknown = struct.pack(f"{order}HH2sHI", 0x0009, 0x1001, b"UN", 0, UNDEFINED)
    # An implicit length of 0x4F4C would be the VR LO.
    content = plain(0x00091010, b"x" * 0x4F4C) + plain(0x00091011, length=UNDEFINED)
    inner = ITEM + plain(STUDY, b"9.9\0") + ITEM_END + SEQUENCE_END
    whole = (element(SOP, b"UI", b"1.2.3\0") + unknown + ITEM + content + inner + ITEM_END + SEQUENCE_END) + element(
        STUDY, b"UI", b"1.2\0"
    )
    scanner = scan(whole, EXPLICIT if order == "<" else BIG, sizes)
    assert scanner.problem() is None
    assert scanner.values == {SOP: b"1.2.3\0", STUDY: b"1.2\0"}


OPENED = long(0x00081115, b"SQ", UNDEFINED)


@pytest.mark.parametrize(
    "between",
    [
        ITEM_END + SEQUENCE_END,
        plain(0xFFFEE000, b"12345678"),
        OPENED + ITEM + SEQUENCE_END,
        OPENED + plain(0xFFFEE000, FIRST) + ITEM_END + SEQUENCE_END,
        OPENED + ITEM + short(PATIENT, b"LO", b"no") + ITEM + ITEM_END + SEQUENCE_END,
        OPENED + OPENED + ITEM + ITEM_END + SEQUENCE_END + ITEM_END + SEQUENCE_END,
        plain(0x00081120, b"ab"),
        plain(0x00081120, length=UNDEFINED) + ITEM + plain(PATIENT, b"no") + ITEM_END + SEQUENCE_END,
        long(0x00090010, b"ZZ", 4, b"1234"),
        short(0x00090010, b"ZZ", b"1234"),
        short(0x00080016, b"UI", b"second"),
    ],
    ids=[
        *("delimiters-of-nothing", "an-item-of-nothing", "no-item-end", "an-item-end-too-many", "an-item-in-an-item"),
        *("a-sequence-without-an-item", "implicit", "implicit-sequence", "vr-to-come", "vr-of-somebody", "second-one"),
    ],
)
def test_wrong_but_readable_data_sets_have_no_problem(between: bytes) -> None:
    for sizes in ([1], [1 << 20]):
        scanner = scan(FIRST + between + LAST, sizes=sizes)
        assert (scanner.values, scanner.problem()) == ({SOP: b"1.2.3\0", STUDY: b"1.2\0"}, None)


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_nothing_is_empty(syntax: str) -> None:
    scanner = DataSetScanner(syntax, WANTED)
    assert scanner.problem() == "the data set is empty"
    scanner.feed(b"")
    assert scanner.problem() == "the data set is empty"


@pytest.mark.parametrize("zeros", range(34))
def test_zeros_behind_the_last_element_are_padding(zeros: int) -> None:
    for sizes in ([1], [1 << 20]):
        assert scan(FIRST + LAST + b"\0" * zeros, sizes=sizes).problem() is None
        assert scan(plain(SOP, b"1.2.3\0") + b"\0" * zeros, IMPLICIT, sizes).problem() is None
    assert scan(b"\0" * zeros).problem() == "the data set is empty"
    assert scan(deflate(FIRST) + b"\0" * zeros, DEFLATED).problem() is None


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (FIRST[:3], "the element after (0000,0000)"),
        (FIRST[:4], "(0008,0018)"),
        (FIRST[:-1], "(0008,0018)"),
        (FIRST + LAST[:2], "the element after (0008,0018)"),
        (FIRST + LAST[:9], "(0020,000D)"),
        (FIRST + long(PIXELS, b"OW", 0xFFFFFFFE, b"1234"), "(7FE0,0010)"),
        (FIRST + long(PIXELS, b"OW", 4)[:10], "(7FE0,0010)"),
        (FIRST + long(PIXELS, b"OB", UNDEFINED) + plain(0xFFFEE000, length=8) + b"1234", "(7FE0,0010)"),
        (FIRST + long(PIXELS, b"OB", UNDEFINED) + plain(0xFFFEE000, b"1234"), "(7FE0,0010)"),
        (FIRST + OPENED + ITEM + LAST[:9], "(0008,1115)"),
        (FIRST + OPENED + ITEM + b"\0" * 12, "(0008,1115)"),
    ],
)
def test_a_data_set_that_is_cut_is_named(content: bytes, where: str) -> None:
    for sizes in ([1], [1 << 20]):
        assert scan(content, sizes=sizes).problem() == f"the data set ends inside of {where}"


@pytest.mark.parametrize("sizes", [[1], [3], [1 << 20]])
@pytest.mark.parametrize("sent", [EXPLICIT, BIG, IMPLICIT])
@pytest.mark.parametrize("negotiated", [EXPLICIT, BIG, IMPLICIT])
def test_another_transfer_syntax_than_the_negotiated_one_is_named(sent: str, negotiated: str, sizes: list[int]) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = CTImageStorage, "1.2.3", "1.2.3.4"
    dataset.PatientID = "007"
    found = contradiction(negotiated, scan(encoded(dataset, sent), negotiated, sizes).content())
    assert (found is None) == (sent == negotiated)
    assert found is None or negotiated in found


FRAGMENT = bytes.fromhex("ffd8ffc0000b080200020001011100")


@pytest.mark.parametrize("sizes", [[1], [3], [1 << 20]])
@pytest.mark.parametrize("table", [b"", bytes(4)])
def test_the_form_of_the_pixel_data_and_the_first_fragment(table: bytes, sizes: list[int]) -> None:
    end = plain(0xFFFEE0DD)
    items = b"".join(plain(0xFFFEE000, content) for content in (table, FRAGMENT, b"second")) + end
    native, compressed = long(PIXELS, b"OW", 4, b"1234"), long(PIXELS, b"OB", UNDEFINED, items)
    icon = long(0x00880200, b"SQ", UNDEFINED, plain(0xFFFEE000, compressed) + end)
    for rest, form, fragment in (
        (b"", "none", b""),
        (long(PIXELS, b"OW", 0, b""), "none", b""),
        (native, "native", b""),
        (icon + native, "native", b""),
        (icon, "none", b""),
        (compressed, "encapsulated", FRAGMENT),
    ):
        content = scan(FIRST + rest, EXPLICIT, sizes).content()
        assert (content.pixel_data, content.fragment) == (form, fragment)
        assert content.head == (FIRST + rest)[:132]


@pytest.mark.parametrize(
    ("items", "is_whole"), [([], False), ([b""], False), ([bytes(4)], False), ([b"", b"1234"], True)]
)
def test_compressed_pixel_data_have_a_fragment(items: list[bytes], *, is_whole: bool) -> None:
    content = b"".join(plain(0xFFFEE000, item) for item in items) + plain(0xFFFEE0DD)
    problem = scan(FIRST + long(PIXELS, b"OB", UNDEFINED, content), JPEGBaseline8Bit).problem()
    assert problem == (None if is_whole else "the compressed pixel data have no fragment")


@pytest.mark.parametrize("end", [b"\r\n", b"\n\r\n", b"</a>", b"\r\n\r\n\r"])
def test_bytes_behind_the_last_element_are_named(end: bytes) -> None:
    content = FIRST + long(PIXELS, b"OW", 4, b"1234") + end
    assert scan(content).problem() == f"{len(end)} bytes follow the last element, (7FE0,0010)"


@pytest.mark.parametrize("cut", [1, 100, 50_000])
def test_a_deflated_data_set_is_read_to_its_end(cut: int) -> None:
    """A reader can inflate none of it if its end is missing, although its UIDs have come."""
    content = FIRST + LAST + long(PIXELS, b"OW", 100_000, random.Random(cut).randbytes(100_000))
    whole = deflate(content)
    assert scan(whole, DEFLATED, [16384]).problem() is None
    assert scan(whole[:-cut], DEFLATED, [16384]).problem() == "the deflated data set ends too early"
    assert scan(deflate(content[:-cut]), DEFLATED, [16384]).problem() == "the data set ends inside of (7FE0,0010)"


def test_a_bomb_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomove.receiver.own_process.scan._INFLATED", 1 << 20)
    content = FIRST + LAST + long(PIXELS, b"OW", 1 << 26, bytes(1 << 26))
    assert scan(deflate(content)[:-20], DEFLATED, [1000]).problem() is None
    assert scan(deflate(FIRST + LAST), DEFLATED).problem() is None


@pytest.mark.parametrize("sizes", [[1], [1 << 20]])
def test_two_patients_in_one_data_set_are_a_problem(sizes: list[int]) -> None:
    """The receiver would take the first one, and pydicom takes the last one."""
    whole = FIRST + LAST + long(PIXELS, b"OW", 4, b"1234")
    for content, syntax in ((whole, EXPLICIT), (deflate(whole), DEFLATED)):
        assert scan(content, syntax, sizes).problem() is None
    for tag, vr in ((PATIENT, b"LO"), (STUDY, b"UI"), (SOP, b"UI")):
        first = short(tag, vr, b"1.2.3.77")
        twice = whole + first + short(tag, vr, b"1.2.3.78")
        words = f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is there twice, with two values"
        assert scan(twice, EXPLICIT, sizes).problem() == words
        assert scan(deflate(twice), DEFLATED, sizes).problem() == words
    padded = short(PATIENT, b"LO", b"007 ") + short(PATIENT, b"LO", b"007\0") + LAST
    assert scan(padded, EXPLICIT, sizes).problem() is None


def test_wrongly_deflated_data_sets_have_a_problem() -> None:
    content = FIRST + long(0x00091001, b"OB", 200_000, bytes(200_000)) + LAST
    whole = deflate(content)
    assert scan(whole, DEFLATED, [100]).problem() is None
    assert scan(whole[:-20], DEFLATED).problem() == "the deflated data set ends too early"
    assert scan(content, DEFLATED).problem() == "the data set cannot be inflated"
    assert scan(deflate(content[:-1]), DEFLATED).problem() == "the data set ends inside of (0020,000D)"
    strangers = deflate(long(PIXELS, b"OW", 4, b"1234"))
    assert scan(strangers, DEFLATED).problem() == "the data set has none of the elements that it must have"
    assert scan(strangers, DEFLATED, wanted=()).problem() is None


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[1], [700], [1 << 20]])
def test_the_first_kibibyte_of_a_value_is_kept(sizes: list[int]) -> None:
    value = bytes(range(256)) * 12
    for syntax, content in ((EXPLICIT, long(PIXELS, b"OB", len(value), value)), (IMPLICIT, plain(PIXELS, value))):
        scanner = scan(content, syntax, sizes, wanted=(PIXELS,))
        assert (scanner.values, scanner.problem()) == ({PIXELS: value[:1024]}, None)
    assert scan(short(PATIENT, b"LO", b"")).values == {PATIENT: b""}


def test_it_is_known_when_all_is_known() -> None:
    scanner = DataSetScanner(EXPLICIT, (SOP, STUDY))
    scanner.feed(FIRST)
    assert not scanner.done
    scanner.feed(LAST)
    assert scanner.done
    assert scan(LAST, wanted=(SOP,)).done
    assert not scan(LAST, wanted=()).done


@pytest.mark.parametrize(
    ("charset", "value", "expected"),
    [
        (None, b" ID 1 \0\0", "ID 1"),
        (None, b"J\xf6rg", "Jörg"),
        (b"ISO_IR 192", "Łucja".encode(), "Łucja"),
        (b"ISO_IR 192", b"J\xf6rg", "Jörg"),
        (b"ISO_IR 100 ", b"J\xf6rg", "Jörg"),
        (b"ISO_IR 999", b"J\xf6rg", "Jörg"),
        (b"utf-8 bomb\xff", b"J\xf6rg", "Jörg"),
        (b"GB18030", "王".encode("gb18030"), "王"),
        (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
        (b"\\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong=洪^吉洞"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xfb", "\x1b$)Cû"),
        (b"ISO_IR 100", b"\x1b%Z what", "\x1b%Z what"),
    ],
)
def test_text(charset: bytes | None, value: bytes, expected: str) -> None:
    assert text({PATIENT: value} if charset is None else {CHARSET: charset, PATIENT: value}, PATIENT) == expected


def test_text_is_what_pydicom_reads() -> None:
    for name, dataset, content in real_data_sets():
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        values = scan(content, syntax, wanted=(*WANTED, 0x00100010)).values
        if 0x00100010 in values and CHARSET in values:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = dataset.PatientName
            expected = str(value.decode() if isinstance(value, PersonName) else value)
            assert text(values, 0x00100010).rstrip("=^ ") == expected.rstrip("=^ "), name
    assert text({}, PATIENT) == ""


# --- peers that lie ---------------------------------------------------------------------------------------------------


@settings(often, max_examples=300)
@given(content=st.binary(max_size=3000), charset=st.binary(max_size=20), sizes=cuts, syntax=st.sampled_from(SYNTAXES))
def test_random_bytes_never_raise(content: bytes, charset: bytes, sizes: list[int], syntax: str) -> None:
    scanner = scan(content, syntax, sizes)
    if syntax != DEFLATED:
        at_once = scan(content, syntax)
        assert (scanner.values, scanner.problem()) == (at_once.values, at_once.problem())
    text({CHARSET: charset, PATIENT: content}, PATIENT)
    for tag in WANTED:
        text(scanner.values, tag)


@pytest.mark.parametrize("syntax", SYNTAXES)
@often
@given(data=st.data(), sizes=cuts)
def test_flipped_bits_never_raise(syntax: str, data: st.DataObject, sizes: list[int]) -> None:
    content = bytearray(encoded(data.draw(datasets(pixels=syntax == RLE).filter(len)), syntax))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    scanner, at_once = scan(bytes(content), syntax, sizes), scan(bytes(content), syntax)
    if syntax != DEFLATED:  # where tags are in no order, it depends on the pieces when everything has been passed
        assert (scanner.values, scanner.problem()) == (at_once.values, at_once.problem())


@settings(often, max_examples=300)
@given(
    parts=st.lists(
        st.sampled_from(
            [ITEM, ITEM_END, SEQUENCE_END, FIRST, LAST, OPENED, long(0x00091001, b"UN", UNDEFINED), plain(SOP, b"x")]
        ),
        max_size=40,
    ),
    sizes=cuts,
)
def test_delimiters_in_any_order_never_raise(parts: list[bytes], sizes: list[int]) -> None:
    content = b"".join(parts)
    scanner, at_once = scan(content, sizes=sizes), scan(content)
    assert (scanner.values, scanner.problem()) == (at_once.values, at_once.problem())


def peak_of(scanner: DataSetScanner, content: bytes, size: int) -> int:
    tracemalloc.start()
    try:
        for piece in pieces(content, [size]):
            scanner.feed(piece)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [16384, 1 << 24])
def test_a_bomb_costs_no_memory(size: int) -> None:
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = stream.compress(FIRST + long(0x00091001, b"OB", 0xFFFFFFF0))
    bomb += b"".join(stream.compress(bytes(1 << 20)) for _ in range(100)) + stream.flush()
    scanner = DataSetScanner(DEFLATED, WANTED)
    assert peak_of(scanner, bomb, size) < 300_000
    assert scanner.problem() == "the data set ends inside of (0009,1001)"


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_large_data_set_costs_no_memory(syntax: str) -> None:
    one = plain(PATIENT, b"x" * 0x3000) if syntax == IMPLICIT else short(PATIENT, b"LO", b"x" * 0x3000)
    content = one * 1000 + OPENED + ITEM + one * 100
    assert peak_of(DataSetScanner(syntax, WANTED), content, 65536) < 30_000


@pytest.mark.parametrize("tag", [0x00287FE0, 0x7FE00008, 0x7FE00009, 0x7FE00010])
def test_what_may_stand_in_place_of_pixel_data(tag: int) -> None:
    for content, expected in ((plain(tag, b"abcd"), {"other", "native"}), (plain(tag, b""), {"none"})):
        scanner = DataSetScanner(IMPLICIT, WANTED)
        scanner.feed(content)
        assert scanner.content().pixel_data in expected


def test_pixel_data_that_were_not_inflated_may_be_there() -> None:
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    deflated = stream.compress(FIRST + short(0x00200010, b"SH", b"1 ") + long(0x00291001, b"OB", 0xFFFFFFF0))
    deflated += b"".join(stream.compress(bytes(1 << 20)) for _ in range(100)) + stream.flush()
    scanner = DataSetScanner(DEFLATED, (0x00080018,))
    scanner.feed(deflated)
    assert scanner.problem() is None
    assert scanner.content().pixel_data == "other"
