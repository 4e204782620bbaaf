"""PDUs and fragments out of bytes, however they are cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle

import pytest
from hypothesis import given, strategies as st

from dicomove.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    P_DATA,
    PDU_HEADER,
    PDV_HEADER,
    RELEASE_RQ,
    Fragment,
    PDataReader,
    Pdu,
    is_tls_record,
    pdu,
    read_events,
    write_p_data,
)
from dicomove.errors import InvalidResponse, TlsFailed

#: Context, whether it is a command set, and all of its bytes; or type and body of a PDU.
Made = tuple[int, bool, bytes] | tuple[int, bytes]


def value(context_id: int, data: bytes, *, is_command: bool, is_last: bool) -> bytes:
    return PDV_HEADER.pack(len(data) + 2, context_id, is_command | is_last << 1) + data


values = st.builds(value, st.integers(0, 255), st.binary(max_size=40), is_command=st.booleans(), is_last=st.booleans())
p_data = st.lists(values, max_size=4).map(lambda parts: pdu(P_DATA, b"".join(parts)))
others = st.one_of(
    st.builds(pdu, st.sampled_from([ASSOCIATE_RQ, ASSOCIATE_AC]), st.binary(max_size=200)),
    st.builds(pdu, st.sampled_from([3, 5, 6, 7]), st.binary(max_size=4)),
)
streams = st.lists(st.one_of(p_data, others), max_size=6).map(b"".join)


def made(events: Iterable[Fragment | Pdu]) -> list[Made]:
    """What events are, with the parts of each command set and data set joined."""
    found: list[Made] = []
    part = b""
    for event in events:
        if isinstance(event, Pdu):
            found.append((event.kind, event.body))
            continue
        part += event.data
        if event.is_last:
            found.append((event.context_id, event.is_command, part))
            part = b""
    return [*found, (-1, part)]


def cut(reader: PDataReader, stream: bytes, sizes: Sequence[int]) -> Iterator[Fragment | Pdu]:
    """Feed a stream in parts of these sizes, again and again."""
    at = 0
    for size in cycle(sizes):
        space = reader.space()
        count = min(len(space), size, len(stream) - at)
        space[:count] = stream[at : at + count]
        reader.received(count)
        at += count
        while (event := reader.next_event()) is not None:
            yield event
        if at == len(stream):
            return


def test_a_pdu_of_data_has_no_event_beside_its_fragments() -> None:
    stream = 2 * pdu(P_DATA, value(3, b"ab", is_command=True, is_last=True)) + pdu(RELEASE_RQ, bytes(4))
    assert made(read_events(stream)) == [(3, True, b"ab"), (3, True, b"ab"), (RELEASE_RQ, bytes(4)), (-1, b"")]


@given(streams, st.lists(st.integers(1, 64), min_size=1, max_size=5))
def test_every_split_gives_the_same_events(stream: bytes, cuts: Sequence[int]) -> None:
    reader = PDataReader(64)
    assert made(cut(reader, stream, cuts)) == made(read_events(stream))
    assert reader.is_between_pdus


def test_pdus_are_counted_when_they_begin() -> None:
    reader = PDataReader(64)
    stream = pdu(P_DATA, value(1, b"abc", is_command=True, is_last=True)) + pdu(RELEASE_RQ)
    counts = []
    for size in (5, 1, 9, 5, 5):
        made(cut(reader, stream[:size], [size]))
        stream = stream[size:]
        counts.append(reader.pdus)
    assert (stream, counts) == (b"", [0, 1, 1, 1, 2])


@given(streams)
def test_one_byte_at_a_time(stream: bytes) -> None:
    assert made(cut(PDataReader(16), stream, [1])) == made(read_events(stream))


@given(p_data.filter(lambda stream: len(stream) > 6), st.data())
def test_a_stream_that_stops_within_a_pdu_is_not_between_pdus(stream: bytes, data: st.DataObject) -> None:
    reader = PDataReader(64)
    made(cut(reader, stream[: data.draw(st.integers(1, len(stream) - 1))], [64]))
    assert not reader.is_between_pdus


@given(st.binary(max_size=300), st.integers(7, 80), st.booleans())
def test_written_fragments_are_read(data: bytes, longest: int, is_command: bool) -> None:
    stream = b"".join(write_p_data(3, data, is_command=is_command, longest=longest))
    fragments = [event for event in read_events(stream) if isinstance(event, Fragment)]
    assert b"".join(fragment.data for fragment in fragments) == data
    assert [fragment.is_last for fragment in fragments] == [False] * (len(fragments) - 1) + [True]
    assert {(fragment.context_id, fragment.is_command) for fragment in fragments} == {(3, is_command)}
    assert all(len(fragment.data) + 6 <= longest for fragment in fragments)


def test_a_fragment_is_a_view_into_the_buffer() -> None:
    reader = PDataReader(64)
    stream = pdu(P_DATA, value(1, b"abc", is_command=True, is_last=True))
    space = reader.space()
    space[: len(stream)] = stream
    reader.received(len(stream))
    event = reader.next_event()
    assert isinstance(event, Fragment)
    space[len(stream) - 1] = ord("d")
    assert bytes(event.data) == b"abd"


def test_p_data_without_a_value_is_a_pdu() -> None:
    assert list(read_events(pdu(P_DATA, b""))) == [Pdu(P_DATA, b"")]


def test_p_data_may_hold_a_whole_image_if_there_is_no_limit() -> None:
    """pynetdicom sends a whole data set in one PDU then."""
    length = (1 << 32) - 1
    begun = PDU_HEADER.pack(P_DATA, length) + PDV_HEADER.pack(length - 4, 1, 0) + b"ab"
    reader = PDataReader(64, max_pdu_length=0)
    reader.space()[: len(begun)] = begun
    reader.received(len(begun))
    fragment = reader.next_event()
    assert isinstance(fragment, Fragment)
    assert (bytes(fragment.data), fragment.is_last) == (b"ab", False)


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (PDU_HEADER.pack(0, 4), "type 0 and 4 bytes"),
        (PDU_HEADER.pack(8, 4), "type 8 and 4 bytes"),
        (PDU_HEADER.pack(RELEASE_RQ, 65), "type 5 and 65 bytes"),
        (PDU_HEADER.pack(ABORT, 1 << 31), "type 7"),
        (PDU_HEADER.pack(P_DATA, (1 << 24) + 1), "type 4"),
        (PDU_HEADER.pack(ASSOCIATE_RQ, (1 << 20) + 1), "type 1"),
        (pdu(P_DATA, b"\0\0\0\1\1\3"), "impossible length"),
        (pdu(P_DATA, b"\0\0\0\5\1\3ab"), "impossible length"),
        (pdu(P_DATA, b"\xff\xff\xff\xff\1\3ab"), "impossible length"),
        (pdu(P_DATA, b"\0\0\0"), "ends inside an item"),
        (pdu(P_DATA, value(1, b"ab", is_command=True, is_last=True) + b"\0\0\0\2\1"), "ends inside an item"),
    ],
)
def test_lengths_that_cannot_be_right(stream: bytes, text: str) -> None:
    with pytest.raises(InvalidResponse, match=text):
        list(read_events(stream))


#: A fatal alert, as a TLS port answers A-ASSOCIATE-RQ, and a ClientHello, as a peer begins that wants TLS.
TLS = [b"\x15\3\3\0\2\2\x28", b"\x16\3\1\2\0\1\0\1\xfc\3\3"]


@pytest.mark.parametrize("stream", TLS)
def test_a_peer_that_begins_with_tls_is_told_from_garbage(stream: bytes) -> None:
    with pytest.raises(TlsFailed, match="speaks TLS on this port") as raised:
        list(read_events(stream))
    assert raised.value.permanent
    with pytest.raises(InvalidResponse, match=f"type {stream[0]} "):
        list(read_events(pdu(RELEASE_RQ) + stream))


@pytest.mark.parametrize("begin", [b"\x15\3", b"\x16\3\1"])
def test_two_bytes_tell_tls(begin: bytes) -> None:
    assert is_tls_record(begin)


@pytest.mark.parametrize("begin", [b"", b"\x16", b"\x17\3\3", b"\x16\2\3", b"\3\x16\3", b"\1\0\0", b"HTTP/1.1"])
def test_bytes_that_are_not_tls(begin: bytes) -> None:
    assert not is_tls_record(begin)


@pytest.mark.parametrize(("kind", "longest"), [(P_DATA, 1 << 24), (ASSOCIATE_RQ, 1 << 20), (RELEASE_RQ, 4)])
def test_the_longest_pdus_are_waited_for(kind: int, longest: int) -> None:
    assert list(read_events(PDU_HEADER.pack(kind, longest))) == []


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waited_for(stream: bytes) -> None:
    try:
        list(read_events(stream))
    except InvalidResponse:
        return
