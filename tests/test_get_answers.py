"""Answers to C-GET that no PACS should give: they are read as those to C-FIND and C-MOVE are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import dicomove as dm
from dicomove.dimse.messages import C_FIND_RQ, RESPONSE
from dicomove.testing.raw import (
    AwaitRelease,
    Close,
    FinishSending,
    RawConnection,
    ReadRequest,
    Respond,
    Send,
    Silence,
    Step,
    pdus,
)
from tests.exchanges import got

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dm.Receiver]:
    with dm.Receiver(tmp_path_factory.mktemp("received"), port=None) as receiver:
        yield receiver


def part_of_data_set(connection: RawConnection) -> None:
    """A final response whose data set begins, and does not end."""
    items = Respond(status=0xB000, data=bytes(200), fragment=100).pdvs(connection)
    connection.send(b"".join(map(pdus.p_data, items[:-1])))


@pytest.mark.parametrize("end", [Silence(), Close(), Send(pdus.RELEASE_REQUEST), Send(pdus.abort(0)), FinishSending()])
@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("0xB000", part_of_data_set),
        ("0x0000", Respond(data=b"")),
        ("0xC123", Respond(status=0xC123, data=b"")),
    ],
)
def test_a_final_response_stands_where_its_data_set_never_comes(
    status: str, answer: Step, end: Step, receiver: dm.Receiver
) -> None:
    started = time.monotonic()
    result, associations = got(receiver, ReadRequest(), answer, end, idle_timeout=50.0, first_response_timeout=50.0)
    assert (result.status, associations, result.attempts) == (status, 1, 1), result
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("status", [0x1234, 0x0211, 0xA123, 0xC0FF, 0xFE01, 0xFF02, 0xFFFF])
def test_a_status_that_is_not_defined_keeps_its_number(status: int, receiver: dm.Receiver) -> None:
    result, _ = got(receiver, ReadRequest(), Respond(status=status), AwaitRelease(), Close())
    assert (result.outcome, result.status) == ("failed", f"0x{status:04X}")


@pytest.mark.parametrize("answer", [Respond(status=None), Respond(command_field=C_FIND_RQ | RESPONSE)])
def test_other_messages_do_not_end_a_c_get_well(answer: Step, receiver: dm.Receiver) -> None:
    result, associations = got(receiver, ReadRequest(), answer)
    assert (result.error, result.status, associations) == ("invalid_response", None, 1)


def test_a_response_to_another_request_is_skipped(receiver: dm.Receiver) -> None:
    result, _ = got(
        receiver,
        ReadRequest(),
        Respond(status=0xC001, message_id_shift=3),
        Respond(status=0xA701),
        AwaitRelease(),
        Close(),
    )
    assert result.status == "0xA701"


def test_a_list_of_as_many_failed_instances_as_a_count_can_name(receiver: dm.Receiver) -> None:
    listed = [f"1.2.826.0.1.3680043.8.498.{number:038}" for number in range(0xFFFE)]
    data = pdus.element(0x0008, 0x0058, "\\".join(listed).encode() + b" ")
    assert len(data) > 1 << 22
    final = Respond(status=0xA702, data=data)
    result, _ = got(receiver, ReadRequest(), final, AwaitRelease(), Close())
    assert result.status == "0xA702"
    assert result.failed_sop_instance_uids == tuple(listed)
