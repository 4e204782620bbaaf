from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st
from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicomove.dimse.charset import decode, encodings
from dicomove.dimse.data_sets import decode_match


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("ISO_IR 100|ISO_IR_100|ISO-IR 100|ISO IR100|isoir100|ISO2022IR100|ISO 2022 IR 100|100|latin1", "latin_1"),
        ("ISO 8859-1|ISO_8859-1|iso-8859-1|8859-1|ISO_IR 100 \0|\0ISO_IR 100", "latin_1"),
        ("ISO_IR 192|ISO_IR_192|ISO-IR-192|UTF8|UTF-8|utf_8|UNICODE|192|ISO 2022 IR 192", "utf-8"),
        ("WINDOWS-1252|windows 1252|cp1252|ANSI", "cp1252"),
        ("ISO 8859-5", "iso8859_5"),
        ("ISO 8859-15", "iso8859_15"),
        ("ISO_IR 203|LATIN9", "iso8859_15"),
        ("ISO_IR 144|ISO-IR144", "iso_ir_144"),
        ("GB18030|gb 18030", "gb18030"),
        ("GBK|GB2312|ISO 2022 GBK", "gbk"),
        ("Shift_JIS", "cp932"),
        ("|ISO_IR 6|ISO 2022 IR 6| |?|ISO_IR 999|8859-77|\xff\xfe|utf-16|hex|idna", "iso8859"),
    ],
)
def test_a_label_in_every_spelling(labels: str, expected: str) -> None:
    for label in labels.split("|"):
        assert encodings(label.encode("latin-1")) == (expected,), label


def test_a_label_of_several_values() -> None:
    assert encodings(b"\\ISO 2022 IR 87 ") == ("iso8859", "iso2022_jp")
    assert encodings(b"ISO 2022 IR 6\\ISO2022IR149\0") == ("iso8859", "euc_kr")


@pytest.mark.parametrize("label", [*python_encoding, "UTF8", "NONSENSE"])
@pytest.mark.parametrize("name", ["Müller", "MÜLLER", "JOSÉ", "François^Zoë", "Žižkova", "Łucja", "Straße"])
def test_a_latin_name_in_utf8_whatever_is_declared(label: str, name: str) -> None:
    assert decode(name.encode(), encodings(label.encode())) == name


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ISO_IR 144", "Иванова^Анна"),
        ("ISO_IR 144", "мол"),  # as ISO 8859-5, it is a row of Cyrillic letters, too
        ("ISO_IR 126", "Νίκος"),
        ("ISO_IR 127", "قباني"),
        ("ISO_IR 138", "שרון"),
        ("ISO_IR 166", "มา"),
        ("ISO_IR 166", "สมชาย^ใจดี"),
        ("ISO_IR 13", "山田^太郎=やまだ^たろう"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ"),
        ("ISO 2022 IR 149", "김희중"),
        ("\\ISO 2022 IR 149", "洪^吉洞=홍^길동"),
        ("\\ISO 2022 IR 87", "山田^太郎"),
        ("GB18030", "王^小东"),
        ("GBK", "CT平扫"),
        ("ISO_IR 100", "Иванова"),
        ("", "ПО"),
        ("ISO_IR 100", "37 °C, 512×512, ½ mg"),
        ("ISO_IR 100", "№ 5 – “x”"),
    ],
)
def test_text_in_utf8_that_says_otherwise(label: str, name: str) -> None:
    assert decode(name.encode(), encodings(label.encode())) == name


@pytest.mark.parametrize(
    ("label", "encoding", "name"),
    [
        ("ISO_IR 101", "iso8859_2", "KÓŁ^ANNA"),
        ("ISO_IR 101", "iso8859_2", "PÓŁTORAK"),
        ("ISO_IR 144", "iso8859_5", "ТАТА"),
        ("ISO_IR 144", "iso8859_5", "ЮЛ"),
        ("ISO_IR 166", "tis_620", "รถ"),
        ("ISO_IR 13", "shift_jis", "ﾐｷ^ﾅｵ"),
        ("ISO 2022 IR 149", "euc_kr", "홍^호"),
        ("GB18030", "gb18030", "谢"),
        ("GBK", "gbk", "郑"),
        ("GB18030", "gb18030", "CT平扫"),
        ("ISO_IR 100", "latin-1", "Gruß\u00a0"),
        ("", "latin-1", "Gruß\u00a0"),
    ],
)
def test_text_that_is_valid_utf8_by_chance(label: str, encoding: str, name: str) -> None:
    value = name.encode(encoding)
    value.decode()  # the case is one
    assert decode(value, encodings(label.encode())) == name


@pytest.mark.parametrize(
    ("label", "encoding", "name"),
    [
        ("", "latin-1", "Hüftner"),
        ("NONSENSE", "latin-1", "Hüftner"),
        ("ISO_IR 192", "latin-1", "Hüftner"),
        ("ISO-IR 100", "latin-1", "Hüftner"),
        ("ISO_IR 100", "latin-1", "¼ ÄÖÜ"),
        ("", "cp1252", "Žižkova"),
        ("ISO_IR 100", "cp1252", "Žižkova"),
        ("ISO_IR 101", "cp1252", "Žižkova"),
        ("ISO_IR 144", "cp1252", "Žižkova"),
        ("ISO_IR 192", "cp1252", "Žižkova"),
        ("ISO_IR 13", "cp1252", "Žižkova"),
        ("ISO_IR 100", "cp1252", "O’Neil – 5 €"),
        ("ISO_IR 148", "cp1254", "Şahin – “x”"),
        ("ISO_IR 144", "cp1251", "Љубица"),
        ("ISO_IR 144", "iso8859_5", "CTголовы"),
        ("ISO_IR 126", "iso8859_7", "Νίκος"),
        ("ISO_IR 127", "iso8859_6", "قباني^لنزار"),
        ("ISO_IR 138", "iso8859_8", "שרון^דבורה"),
        ("ISO_IR 166", "tis_620", "สมชาย^ใจดี"),
        ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("ISO_IR 13", "shift_jis", "山田^太郎"),
        ("\\ISO 2022 IR 87", "shift_jis", "山田^太郎"),
        ("\\ISO 2022 IR 149", "euc_kr", "김^희중"),
        ("\\ISO 2022 IR 149", "latin-1", "Müller"),
        ("GB18030", "gb18030", "王^小东"),
        ("ISO_IR 203", "iso8859_15", "Žižek"),
    ],
)
def test_text_that_is_not_utf8(label: str, encoding: str, name: str) -> None:
    assert decode(name.encode(encoding), encodings(label.encode())) == name


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        (b"\\ISO 2022 IR 87", b"Yamada=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada=山田^太郎"),
        (b"", b"Yamada=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada=山田^太郎"),
        (b"\\ISO 2022 IR 149", b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong=洪^吉洞"),
        (b"\\ISO 2022 IR 58", b"Wang=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab", "Wang=王^小东"),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144", b"M\xfcller=\x1b-L\xbc\xee\xdb", "Müller=Мюл"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xfb", "\x1b$)Cû"),
        (b"ISO_IR 100", b"\x1b%Z what", "\x1b%Z what"),
        (b"ISO_IR 192", "Müller^\x1b%GŁucja".encode(), "Müller^Łucja"),
        (b"ISO_IR 192", "Müller^Łucj\u0105".encode()[:-1], "Müller^Łucj\ufffd"),
        (b"", "Müller^Łucj\u0105".encode()[:-1] + b" ", "Müller^Łucj\ufffd"),
        (b"GB18030", "王^小东".encode("gb18030")[:-1], "王^小\ufffd"),
        (b"ISO_IR 100", b"Gro\xdf", "Groß"),
    ],
)
def test_escapes_and_cuts(label: bytes, value: bytes, expected: str) -> None:
    assert decode(value, encodings(label)) == expected


@given(st.binary(max_size=30), st.sampled_from([*python_encoding, "UTF8", "BIG5", "EUC-JP"]) | st.text(max_size=12))
def test_every_byte_string_is_a_text(value: bytes, label: str) -> None:
    text = decode(value, encodings(label.encode("utf-8", "replace")))
    if b"\x1b" not in value:
        assert bool(text.strip("\0 ")) == bool(value.strip(b"\0 "))
    if value.isascii() and b"\x1b" not in value:
        assert text == value.decode()


@given(st.text(max_size=12), st.sampled_from(["", "ISO_IR 192", "UTF8"]))
def test_utf8_that_says_so_or_nothing(text: str, label: str) -> None:
    value = text.replace("\x1b", "").encode("utf-8", "ignore")
    if label:
        assert decode(value, encodings(label.encode())).encode() == value.rstrip(b" \0")


def element(group: int, number: int, content: bytes) -> bytes:
    content += b" " * (len(content) % 2)
    return struct.pack("<HHI", group, number, len(content)) + content


@pytest.mark.parametrize("before", [b"", element(8, 0, struct.pack("<I", 99)), element(8, 1, b"")])
def test_an_answer_of_several_sources(before: bytes) -> None:
    data = before + element(8, 5, b"ISO_IR 100") + element(8, 0x1030, "Schädel".encode("latin-1"))
    data += element(0x10, 0x10, "Müller^Änne".encode()) + element(0x20, 0xD, b"1.2.\xfc") + element(8, 0x61, b"CT\\SR")
    match = decode_match(data, ImplicitVRLittleEndian)
    assert match["StudyDescription"] == "Schädel"
    assert match["PatientName"] == "Müller^Änne"
    assert match["StudyInstanceUID"] == "1.2.ü"
    assert match["ModalitiesInStudy"] == "CT\\SR"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_character_set_behind_a_group_length(syntax: UID) -> None:
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 144"
    answer.PatientName = "Иванова^Анна"
    encoded = encode(answer, syntax.is_implicit_VR, syntax.is_little_endian)
    length = struct.pack("<HHII" if syntax.is_little_endian else ">HHII", 8, 0, 4, 99)
    if not syntax.is_implicit_VR:
        length = length[:4] + b"UL" + (b"\4\0" if syntax.is_little_endian else b"\0\4") + length[8:]
    assert encoded is not None
    assert decode_match(length + encoded, syntax)["PatientName"] == "Иванова^Анна"
