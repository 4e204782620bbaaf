"""Thousands of sessions that nobody meant: real traffic, recorded and mutated, and messages that hypothesis makes up.

Without being told otherwise, they are the same each time. To look for more, ask for as many as there is time for::

    DICOMOVE_FUZZ_CASES=100000 pytest tests/test_receiver_fuzz.py

which are other ones each time; ``DICOMOVE_FUZZ_SEED`` is where mutated traffic begins, to play what failed again.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import struct
import subprocess
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st
from pydicom import dcmread
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

import dicomove as dm
from dicomove.dimse.messages import (
    C_ECHO_RQ,
    C_FIND_RQ,
    C_STORE_RQ,
    NO_DATA_SET,
    RESPONSE,
    Command,
    decode_command,
    has_data_set,
)
from dicomove.dimse.pdu import ABORT, ASSOCIATE_RQ, P_DATA, RELEASE_RQ
from dicomove.errors import InvalidResponse
from dicomove.receiver import AskedRow, Limits, RowId
from dicomove.receiver.own_process.storage import SUCCESS
from dicomove.testing import Synthetic
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.associations import storing
from dicomove.testing.raw import pdus
from tests import servers
from tests.attacked import AE_TITLE, HOST, MIB, Scp, connect, data_pdu, message, read_to_end, running
from tests.servers import wait_until

ASKED_FOR: Final = int(os.environ.get("DICOMOVE_FUZZ_CASES", "0"))
CASES: Final = ASKED_FOR or 2500
FIRST_SEED: Final = int(os.environ.get("DICOMOVE_FUZZ_SEED", random.randrange(1 << 40) if ASKED_FOR else 0))
BATCH: Final = 500
PLAYERS: Final = 4

pytestmark = [
    pytest.mark.xdist_group("quiet"),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process takes is told by /proc"),
    pytest.mark.timeout(120 + ASKED_FOR),
]


def profile(examples: int) -> settings:
    return settings(
        max_examples=ASKED_FOR or examples,
        derandomize=not ASKED_FOR,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# ------------------------------------------------------------------------------------------------- real traffic


@dataclass(frozen=True)
class Session:
    """What a client sent over one connection, and the SOP Instance UIDs in it."""

    sent: bytes
    uids: tuple[bytes, ...] = ()


@contextmanager
def recording(target: int) -> Iterator[tuple[int, list[bytes]]]:
    """A port that forwards to another, and what came for it over each connection."""
    sessions: list[bytes] = []

    def forward(client: socket.socket) -> None:
        said = bytearray()
        with socket.create_connection((HOST, target)) as upstream, ThreadPoolExecutor(1) as pool:
            back = pool.submit(servers._pump, upstream, client)
            with suppress(OSError):
                while data := client.recv(65536):
                    said += data
                    upstream.sendall(data)
                upstream.shutdown(socket.SHUT_WR)
            back.result()
        sessions.append(bytes(said))

    with servers.listening(forward) as port:
        yield port, sessions


def smallest_of_each_syntax(images: Path) -> list[Instance]:
    """Real images, one of each transfer syntax, and what `images` has not."""
    found: dict[str, Instance] = {}
    for instance in Archive.from_folder(images).instances:
        known = found.get(instance.transfer_syntax)
        if known is None or len(instance.read()) < len(known.read()):
            found[instance.transfer_syntax] = instance
    small = [instance for instance in found.values() if len(instance.read()) < 50_000]
    plain, deflated = Synthetic(studies=1, instances=2, size=128, seed=99).instances_of_all()
    squeezed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = squeezed.compress(deflated.read()) + squeezed.flush()
    deflated = replace(
        deflated, transfer_syntax=DeflatedExplicitVRLittleEndian, source=lambda: data + bytes(len(data) % 2)
    )
    return [plain, deflated, *small]


@pytest.fixture(scope="module")
def scp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scp]:
    with running(tmp_path_factory.mktemp("fuzzed"), Limits(handshake=5, idle=5, pdu=5, associations=64)) as made:
        yield made
        made.recovers(30 * MIB)


@pytest.fixture(scope="module")
def sessions(scp: Scp, images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Session]:
    """Real traffic: a PACS that moves one image, or several; DCMTK's storescu; a C-ECHO."""
    several = smallest_of_each_syntax(images)
    folder = servers.write(several, tmp_path_factory.mktemp("storescu") / "files")
    with recording(scp.receiver.port) as (port, recorded):
        for group in ([several[0]], [several[1]], several[2:]):
            with storing((HOST, port), AE_TITLE, "RECORDED", group, ("MOVER", 7)) as send:
                assert {send(instance) for instance in group} == {0}
        if shutil.which("storescu") or os.environ.get("CI"):
            files = [str(folder / f"{one.sop_instance_uid}.dcm") for one in several if one is not several[1]]
            command = [servers.program("storescu"), "-R", "-xs", "-aec", AE_TITLE, HOST, str(port), *files[:1]]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            subprocess.run(
                [*command[:1], "-xi", *command[3:-1], files[0]], capture_output=True, check=False, timeout=60
            )
        assert dm.echo(dm.Pacs(f"{AE_TITLE}@{HOST}:{port}")).status == "0x0000"
        wait_until(lambda: len(recorded) >= 4)
    every = [instance.sop_instance_uid.encode() for instance in several]
    made = [Session(sent, tuple(uid for uid in every if uid in sent)) for sent in recorded]
    assert sum(len(session.uids) for session in made) >= len(several)
    return made


# ------------------------------------------------------------------------------------------------- mutations

_LENGTHS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 255, 65535, 65536, 1 << 17, 1 << 24, (1 << 24) + 1, 1 << 31, 0xFFFFFFFF)
_EXTRA: Final = (
    pdus.abort(0),
    pdus.RELEASE_REQUEST,
    pdus.RELEASE_ANSWER,
    pdus.reject_pdu(1, 1, 1),
    pdus.associate_request(AE_TITLE, {CTImageStorage: [ImplicitVRLittleEndian]}),
    pdus.pdu(P_DATA, b""),
    data_pdu(b"", last=True),
    data_pdu(bytes(10), last=False),
    message({"CommandField": C_ECHO_RQ}),
    message({"CommandField": C_STORE_RQ, "AffectedSOPInstanceUID": "1.2.3"}, b""),
    message({"CommandField": C_STORE_RQ, "AffectedSOPInstanceUID": "1.2.3"}),
)


def split(sent: bytes) -> list[bytes]:
    """Return the PDUs of a session, as far as it has any; the last one may be cut."""
    found, at = [], 0
    while at < len(sent):
        end = at + 6 + (int.from_bytes(sent[at + 2 : at + 6]) if len(sent) - at >= 6 else 0)
        found.append(sent[at:end])
        at = end
    return found


def flipped(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 8])):
        made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
    return bytes(made)


def overwritten(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def refragmented(pdu: bytes, size: int) -> bytes:
    """Return a P-DATA-TF as many: the same message, for who reads it right."""
    if pdu[0] != P_DATA or len(pdu) < 12 or int.from_bytes(pdu[6:10]) != len(pdu) - 10:
        return pdu
    context_id, control, data = pdu[10], pdu[11], pdu[12:]
    pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    items = [pdus.pdv(context_id, piece, command=bool(control & 1), last=False) for piece in pieces]
    items[-1] = overwritten(items[-1], 5, bytes([control]))
    return b"".join(map(pdus.p_data, items)) if size % 2 else pdus.p_data(*items)


def mutate_pdus(whole: list[bytes], other: list[bytes], chance: random.Random) -> list[bytes]:
    """Do something to the PDUs of a session."""
    made = list(whole)
    at = chance.randrange(len(made))
    pdu = made[at]
    length = struct.pack(">I", chance.choice([*_LENGTHS, len(pdu) - 7, len(pdu) - 5, 2 * len(pdu)]) & 0xFFFFFFFF)
    ways: list[Callable[[], object]] = [
        lambda: made.insert(at, pdu),
        lambda: made.pop(at),
        lambda: made.insert(chance.randrange(len(made)), made.pop(at)),
        lambda: made.insert(at, chance.choice(_EXTRA)),
        lambda: made.insert(at, chance.choice(other)),
        lambda: made.__setitem__(slice(at, None), other[chance.randrange(len(other)) :]),
        lambda: made.__setitem__(at, overwritten(pdu, 2, length)),
        lambda: made.__setitem__(at, overwritten(pdu, 6, length)),
        lambda: made.__setitem__(at, overwritten(pdu, 0, bytes([chance.randrange(10)]))),
        lambda: made.__setitem__(at, overwritten(pdu, 10, chance.choice([b"\0", b"\1", b"\3", b"\2", b"\xff"]))),
        lambda: made.__setitem__(at, overwritten(pdu, 11, chance.choice([b"\0", b"\1", b"\2", b"\3", b"\xff"]))),
        lambda: made.__setitem__(at, refragmented(pdu, chance.choice([1, 2, 3, 64, 65, 1001]))),
        lambda: made.__setitem__(at, flipped(pdu, chance)),
        lambda: made.__setitem__(at, pdu[: chance.randrange(len(pdu))]),
    ]
    chance.choice(ways)()
    return made or [pdu]


def mutate_bytes(sent: bytes, chance: random.Random) -> bytes:
    """Do something to the bytes of a session, wherever PDUs begin."""
    at = chance.randrange(len(sent))
    end = min(len(sent), at + chance.choice([1, 2, 4, 40, 400]))
    ways: list[Callable[[], bytes]] = [
        lambda: flipped(sent, chance),
        lambda: sent[:at],
        lambda: sent[:at] + sent[end:],
        lambda: sent[:end] + sent[at:],
        lambda: sent[:at] + chance.randbytes(end - at) + sent[end:],
        lambda: sent[:at] + chance.randbytes(end - at) + sent[at:],
        lambda: overwritten(sent, at, struct.pack(">I", chance.choice(_LENGTHS)))[: len(sent)],
        lambda: overwritten(sent, at, struct.pack("<I", chance.choice(_LENGTHS)))[: len(sent)],
    ]
    return chance.choice(ways)()


def renamed(session: Session, chance: random.Random) -> bytes:
    """Return the session with other UIDs, as if it were of other images: else all would be the same few."""
    sent = session.sent
    for uid in session.uids:
        tail = min(8, len(uid) - 4)
        sent = sent.replace(uid, uid[:-tail] + b"%0*d" % (tail, chance.randrange(10 ** (tail - 1), 10**tail)))
    return sent


def mutated(sessions: Sequence[Session], seed: int) -> bytes:
    """Return a session that went wrong, the same for the same seed."""
    chance = random.Random(seed)
    session, other = chance.choices(sessions, k=2)
    sent = renamed(session, chance) if chance.random() < 0.7 else session.sent
    for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
        if not sent:
            break
        if chance.random() < 0.7:
            sent = b"".join(mutate_pdus(split(sent), split(other.sent), chance))
        else:
            sent = mutate_bytes(sent, chance)
    return sent


# ------------------------------------------------------------------------------------------------- the truth


def fragments(sent: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield control headers and fragments, until something comes that ends an association."""
    at, is_associated = 0, False
    while len(sent) - at >= 6:
        kind, length = struct.unpack_from(">BxI", sent, at)
        at, end = at + 6, at + 6 + length
        if kind != P_DATA:
            if kind != ASSOCIATE_RQ or is_associated:
                return
            at, is_associated = end, True
        while at < end:
            if end - at < 6 or len(sent) - at < 6:
                return
            size, control = struct.unpack_from(">IxB", sent, at)
            fragment = sent[at + 6 : at + 4 + size]
            if size < 2 or at + 4 + size > end or len(fragment) != size - 2:
                return
            at += 4 + size
            yield control, fragment


def decoded(command: bytes) -> Command | None:
    """Return a command set, None if it is none."""
    try:
        return decode_command(command)
    except InvalidResponse:
        return None


def may_lack_a_data_set(command: Command, *, has_begun: bool) -> bool:
    """Whether another message may follow where the data set of this one would."""
    field = int(command.get("CommandField") or 0)
    is_announced = command.get("CommandDataSetType", NO_DATA_SET) != NO_DATA_SET
    return bool(field & RESPONSE) or not (has_begun or (is_announced and field == C_STORE_RQ))


def of_store(request: Command, digest: str) -> list[str]:
    """Return the hash, if the request is one of C-STORE."""
    return [digest] if request.get("CommandField") == C_STORE_RQ else []


def stores(sent: bytes) -> Iterator[str]:
    """Yield the hash of the data set of each C-STORE that was sent whole; of one without a data set, an empty one.

    What ends an association ends this, too.
    """
    command, request, digest, has_begun, has_data = b"", None, hashlib.sha256(), False, False
    for control, fragment in fragments(sent):
        is_command = bool(control & 1)
        if is_command and request and may_lack_a_data_set(request, has_begun=has_data):
            yield from of_store(request, "")
            request = None  # its data set does not come
        if not is_command and request is None and has_begun and not command:
            continue  # a data set that was not announced is left out
        if is_command == (request is not None):
            return
        if request is not None:
            digest.update(fragment)
            has_data = True
            if control & 2:
                yield from of_store(request, digest.hexdigest())
                request = None
            continue
        command += fragment
        if control & 2:
            request = decoded(command)
            if request is None:
                return
            command, digest, has_begun, has_data = b"", hashlib.sha256(), True, False
            request = request if has_data_set(request) else None
    if request and may_lack_a_data_set(request, has_begun=has_data):  # half of another message may follow
        yield from of_store(request, "")


def sent_whole(sent: bytes) -> list[str]:
    """Return the hash of every data set that was sent whole."""
    return list(stores(sent))


def statuses(received: bytes) -> list[object]:
    """Return what the C-STOREs were answered with; the last words of a receiver may be lost."""
    if received[:1] != b"\x02":
        return []
    pdus_of_answers = [pdu for pdu in split(received) if pdu[0] == P_DATA and len(pdu) == 6 + int.from_bytes(pdu[2:6])]
    commands = [decode_command(pdu[12:]) for pdu in pdus_of_answers]
    return [command["Status"] for command in commands if command["CommandField"] == C_STORE_RQ | RESPONSE]


def confirmed(sent: bytes, received: bytes) -> list[str]:
    """Return the hash of every data set of which the receiver has said that it is stored."""
    asked, answered = sent_whole(sent), statuses(received)
    assert len(answered) <= len(asked), sent[:2000].hex()
    return [digest for digest, status in zip(asked, answered, strict=False) if status == SUCCESS]


def data_set(path: Path) -> bytes:
    """The data set as it stands in the file, bit for bit."""
    content = path.read_bytes()
    return content[144 + int.from_bytes(content[140:144], "little") :]


def play(scp: Scp, sent: bytes) -> bytes:
    """Say all of it, and return what the receiver says to it."""
    with connect(scp.address) as sock:
        with suppress(OSError):  # it may have ended already; what it said before can be read all the same
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)


def assert_healthy(scp: Scp) -> None:
    """What happened until now is known, since what was logged comes before an answer."""
    scp.receiver.runs.row(AskedRow(RowId(0, 0), {"StudyInstanceUID": "none"})).held()
    assert not scp.defects.found, scp.defects.found[0]
    assert scp.receiver.pid == scp.pid


def assert_true(scp: Scp, whole: set[str], promised: set[str]) -> None:
    """See that what is on disk was sent, is as it was sent, and is in the record; and that nothing is lost."""
    scp.recovers(30 * MIB)
    in_place = [path for path in scp.folder.rglob("*.dcm") if ".dicomove" not in path.parts]
    assert in_place
    aside = list(scp.folder.rglob("*.quarantined"))
    there = {hashlib.sha256(data_set(path)).hexdigest() for path in [*in_place, *aside]}
    assert there <= whole | scp.stored, f"a file that nobody sent, from seed {FIRST_SEED} on"
    assert promised | scp.stored <= there, f"an instance is lost, from seed {FIRST_SEED} on"
    manifest = scp.receiver.manifest()
    assert len(manifest) == len(in_place) + len(aside)
    assert set(dm.verify(manifest)["verified"]) == {"ok"}
    assert set(dm.verify(scp.folder)["verified"]) == {"ok"}
    for entry in manifest[manifest["quarantine"].isna()].itertuples():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that a bit made invalid
            assert str(dcmread(scp.folder / str(entry.path)).SOPInstanceUID) == entry.SOPInstanceUID


# ------------------------------------------------------------------------------------------------- tests


def test_sessions_are_what_they_seem(sessions: list[Session], scp: Scp) -> None:
    """The tools of these tests: a session that is played again stores what it stored."""
    for session in sessions:
        assert b"".join(split(session.sent)) == session.sent
        assert len(sent_whole(session.sent)) == len(session.uids)
        assert confirmed(session.sent, play(scp, session.sent)) == sent_whole(session.sent)
        again = b"".join(refragmented(pdu, 7) for pdu in split(session.sent))
        assert sent_whole(again) == sent_whole(session.sent)
        assert confirmed(again, play(scp, again)) == sent_whole(again)
    assert_healthy(scp)


def test_mutated_traffic(tmp_path: Path, sessions: list[Session]) -> None:
    whole: set[str] = set()
    promised: list[str] = []
    with (
        running(tmp_path, Limits(handshake=5, idle=5, pdu=5, associations=64)) as scp,
        ThreadPoolExecutor(PLAYERS) as pool,
    ):
        for start in range(FIRST_SEED, FIRST_SEED + CASES, BATCH):
            seeds = range(start, min(start + BATCH, FIRST_SEED + CASES))
            cases = [mutated(sessions, seed) for seed in seeds]
            for sent, received in zip(cases, pool.map(partial(play, scp), cases), strict=True):
                whole.update(sent_whole(sent))
                promised += confirmed(sent, received)
            if scp.defects.found:
                pytest.fail(f"{culprit(scp, cases, start)}\n{scp.defects.found[0]}")
        assert_healthy(scp)
        assert_true(scp, whole, {*promised})
    assert len(promised) > CASES / 10  # many mutations leave most of a session as it was


def culprit(scp: Scp, cases: Sequence[bytes], start: int) -> str:
    """Return which case it was."""
    for number, sent in enumerate(cases):
        before = len(scp.defects.found)
        play(scp, sent)
        scp.receiver.runs.row(AskedRow(RowId(0, 0), {"StudyInstanceUID": "none"})).held()
        if len(scp.defects.found) > before:
            return f"seed {start + number}: {sent[:2000].hex()}"
    return f"one of the seeds from {start} on, and not alone"


_UIDS: Final = st.sampled_from(["", "1.2.3", "1." * 31 + "1", "../../1", "1" * 3000, "\0", "é", "1.2.840.10008.1.1"])
_CONTEXT_IDS: Final = st.sampled_from([1, 1, 1, 3, 5, 0, 2, 255])
_NUMBERS: Final = st.sampled_from([0, 1, 0x0101, 0x0102, C_STORE_RQ, C_ECHO_RQ, C_FIND_RQ, 0x8001, 0xFFFF])
_COMMANDS: Final = st.dictionaries(
    st.sampled_from(["CommandField", "MessageID", "Priority", "MoveOriginatorMessageID", "Status"]), _NUMBERS
)
_TEXTS: Final = st.dictionaries(
    st.sampled_from(["AffectedSOPClassUID", "AffectedSOPInstanceUID", "MoveOriginatorApplicationEntityTitle"]), _UIDS
)
_ELEMENTS: Final = st.builds(
    pdus.element,
    st.sampled_from([0x0000, 0x0002, 0x0008, 0x0010, 0x0020, 0x7FE0, 0xFFFE]),
    st.sampled_from([0x0000, 0x0005, 0x000D, 0x000E, 0x0010, 0x0016, 0x0018, 0x0020, 0xE000, 0xE00D, 0xE0DD]),
    st.one_of(st.binary(max_size=40), st.sampled_from([b"1.2.3", b"1.2.4\0", b"\\ISO 2022 IR 87", b"ISO_IR 192"])),
    st.one_of(st.none(), st.sampled_from([0, 3, 1 << 16, 0x7FFFFFFF, 0xFFFFFFFF])),
)
_DATA: Final = st.one_of(st.none(), st.just(b""), st.lists(_ELEMENTS, max_size=8).map(b"".join), st.binary(max_size=99))


def said(context_id: int, numbers: Mapping[str, int], texts: Mapping[str, str], data: bytes | None, size: int) -> bytes:
    items = pdus.message_pdvs(context_id, {**numbers, **texts}, data, size)
    return b"".join(map(pdus.p_data, items)) if size % 2 else pdus.p_data(*items)


_MESSAGES: Final = st.builds(said, _CONTEXT_IDS, _COMMANDS, _TEXTS, _DATA, st.sampled_from([1, 2, 7, 100, 101, 16378]))
_STORES: Final = st.builds(
    lambda texts, data, size: said(1, {"CommandField": C_STORE_RQ, "MessageID": 1}, texts, data, size),
    _TEXTS,
    _DATA,
    st.sampled_from([1, 100, 101, 16378]),
)
_PDVS: Final = st.builds(
    lambda context_id, data, control: overwritten(
        pdus.p_data(pdus.pdv(context_id, data, command=False)), 11, bytes([control])
    ),
    _CONTEXT_IDS,
    st.one_of(st.binary(max_size=64), _ELEMENTS),
    st.sampled_from([0, 1, 2, 3, 255]),
)
_PDUS: Final = st.one_of(
    _STORES,
    _STORES,
    _MESSAGES,
    _PDVS,
    st.builds(pdus.pdu, st.integers(0, 9), st.binary(max_size=40)),
    st.builds(pdus.header, st.sampled_from([ASSOCIATE_RQ, P_DATA, RELEASE_RQ, ABORT]), st.sampled_from(_LENGTHS)),
    st.sampled_from(_EXTRA),
    st.binary(max_size=40),
)
_SYNTAXES: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    "1.2.3",
)


@settings(profile(500))
@given(st.sampled_from(_SYNTAXES), st.lists(_PDUS, min_size=1, max_size=6))
def test_random_messages(scp: Scp, syntax: str, parts: list[bytes]) -> None:
    contexts: dict[str, list[str]] = {"1.2.3.4": ["1.2.3"], "1.2.840.10008.1.1": [ImplicitVRLittleEndian]}
    contexts[CTImageStorage] = [syntax]
    received = play(scp, pdus.associate_request(AE_TITLE, contexts) + b"".join(parts))
    assert received[:1] == b"\x02"
    assert_healthy(scp)


_ITEM_KINDS: Final = (0x10, 0x20, 0x20, 0x20, 0x30, 0x40, 0x50, 0x50, *range(0x51, 0x5A))


def _item(kind: int, body: bytes, lie: int) -> bytes:
    return struct.pack(">BxH", kind, max(0, min(0xFFFF, len(body) + lie))) + body


_LIE: Final = st.sampled_from([0] * 12 + [1, -1, 4, 0xFFFF])
_VALUES: Final = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([*_SYNTAXES, CTImageStorage, "1.2.840.10008.3.1.1.1", "1" * 65, "\0", " ", "1..2"]).map(str.encode),
    st.builds(
        lambda uid, roles: struct.pack(">H", len(uid)) + uid + roles, st.binary(max_size=9), st.binary(max_size=4)
    ),
)
_SUB_ITEMS: Final = st.lists(st.builds(_item, st.sampled_from(_ITEM_KINDS), _VALUES, _LIE), max_size=5).map(b"".join)
_ITEMS: Final = st.one_of(
    st.builds(_item, st.sampled_from(_ITEM_KINDS), _VALUES, _LIE),
    st.builds(
        lambda number, sub_items, lie: _item(0x20, bytes([number, 0, 0, 0]) + sub_items, lie),
        st.sampled_from([1, 3, 5, 0, 2, 255]),
        _SUB_ITEMS,
        _LIE,
    ),
    st.builds(_item, st.just(0x50), _SUB_ITEMS, _LIE),
)
_TITLES: Final = st.sampled_from([b"RAW", b"", b"\0" * 16, b"\xff" * 16, b"a\\b", b"A" * 16, b"\r\n"])


@settings(profile(500))
@given(_TITLES, st.lists(_ITEMS, max_size=6).map(b"".join), st.sampled_from([0, 0, 0, 1, 2, 0xFFFF]))
@example(b"RAW", _item(0x50, _item(0x54, b"\0\0031.2\0\0", 0), 0), 1)
def test_random_requests(scp: Scp, title: bytes, items: bytes, version: int) -> None:
    titles = AE_TITLE.encode().ljust(16) + title.ljust(16)[:16]
    body = struct.pack(">HH32s32x", version, 0, titles) + items
    received = play(scp, pdus.pdu(ASSOCIATE_RQ, body) + message({"CommandField": C_ECHO_RQ}))
    assert received[:1] in (b"", b"\x02", b"\x07")
    assert_healthy(scp)
