"""Odd associations: what Orthanc, storescp, dcmqrscp or echoscu accept, we accept, on either side."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import pytest

import dicomove as dm
from dicomove.testing import Synthetic
from dicomove.testing.raw import AwaitRelease, ReadPdu, ReadRequest, Respond, ScriptedPeer, Send, Step, pdus
from tests import receiving, servers
from tests.odd_associations import HOST, accepts, is_echoed, requests

pytestmark = pytest.mark.timeout(120)

OURS: Final = "ours"
#: A control that takes longer than this weakens the test, and does not break it; we have more time.
CONTROL_S: Final = 2.0
OURS_S: Final = 20.0
#: What we cannot use; DCMTK and Orthanc abort such associations, too.
NOT_USABLE: Final = {"maximum length 1"}
#: Of A-ASSOCIATE-AC: there is no context for C-ECHO.
REFUSED: Final = {"undefined result", "nothing of the context", "another context alone", "nothing but the head"}


@dataclass(frozen=True)
class Acceptor:
    """A program that accepts associations, and the odd ones that call it."""

    port: int
    requests: Mapping[str, bytes]

    @classmethod
    def of(cls, port: int, ae_title: str) -> Acceptor:
        return cls(port, requests(ae_title))


@pytest.fixture(scope="module")
def acceptors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Acceptor]]:
    """Orthanc and two programs of DCMTK as controls, and our receiver."""
    folder = tmp_path_factory.mktemp
    images = servers.write(Synthetic(studies=1, instances=1, size=128).instances_of_all(), folder("images"))
    with ExitStack() as stack:
        orthanc = stack.enter_context(servers.orthanc(folder("orthanc"), images, {}))
        storescp = stack.enter_context(servers.storescp(folder("storescp")))
        dcmqrscp = stack.enter_context(servers.dcmqrscp(folder("dcmqrscp"), images, {}))
        receiver = stack.enter_context(receiving.receiver(folder("received"), accept="any", allow=HOST))
        yield {
            "orthanc": Acceptor.of(orthanc.dicom_port, "ORTHANC"),
            "storescp": Acceptor.of(storescp.port, servers.DESTINATION),
            "dcmqrscp": Acceptor.of(dcmqrscp, "DCMQRSCP"),
            OURS: Acceptor.of(receiver.port, receiver.ae_title),
        }


def echoed(acceptors: Mapping[str, Acceptor], name: str) -> set[str]:
    """Which programs answer a C-ECHO over this association."""

    def ask(maker: str) -> bool:
        one = acceptors[maker]
        return is_echoed(one.port, one.requests[name], OURS_S if maker == OURS else CONTROL_S)

    with ThreadPoolExecutor(len(acceptors)) as pool:
        return {maker for maker, answered in zip(acceptors, pool.map(ask, acceptors), strict=True) if answered}


def test_all_controls_answer(acceptors: dict[str, Acceptor]) -> None:
    for name in ("by the book", "version name of 22 characters", "version name that is not ASCII"):
        assert echoed(acceptors, name) == acceptors.keys()


@pytest.mark.parametrize("name", requests(""))
def test_a_request_that_others_accept_is_accepted(acceptors: dict[str, Acceptor], name: str) -> None:
    makers = echoed(acceptors, name)
    if name in NOT_USABLE:
        assert makers == set()
    else:
        assert OURS in makers, f"accepted by {makers or 'no control'}"


def steps(answer: bytes) -> list[Step]:
    """Accept an association with this answer, and answer a C-ECHO."""
    return [ReadPdu(), Send(answer), ReadRequest(), Respond(), AwaitRelease(), Send(pdus.RELEASE_ANSWER)]


def is_ours_content(answer: bytes) -> bool:
    with ScriptedPeer(steps(answer)) as peer:
        pacs = dm.Pacs(peer.address, association_timeout=OURS_S, first_response_timeout=OURS_S)
        try:
            return dm.echo(pacs).status == "0x0000"
        except dm.errors.AssociationError:
            return False


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_answer_that_accepts_nothing_is_a_service_that_is_not_offered(name: str) -> None:
    """As where the context is rejected, whatever the answer leaves out."""
    with ScriptedPeer([ReadPdu(), Send(accepts()[name]), AwaitRelease(), Send(pdus.RELEASE_ANSWER)]) as peer:
        pacs = dm.Pacs(peer.address, association_timeout=OURS_S)
        with pytest.raises(dm.errors.NotSupported, match="does not offer Verification"):
            dm.echo(pacs)
        with dm.MoveScu(pacs) as scu:
            moved = scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE")
            found = scu.find_scu().find_studies({"StudyInstanceUID": "1.2.3"})
    assert (moved.outcome, moved.error, found.error) == ("failed", "not_supported", "not_supported")


def is_echoscu_content(answer: bytes) -> bool:
    limits = ["-to", "2", "-ta", "2", "-td", "2"]
    with ScriptedPeer(steps(answer)) as peer:
        command = [servers.program("echoscu"), *limits, HOST, str(peer.port)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_echoscu_is_content_with_an_answer_by_the_book() -> None:
    assert is_echoscu_content(accepts()["by the book"])


@pytest.mark.parametrize("name", accepts())
def test_an_answer_that_echoscu_accepts_is_accepted(name: str) -> None:
    answer = accepts()[name]
    ours, control = is_ours_content(answer), is_echoscu_content(answer)
    assert ours or not control
    assert ours == (name not in NOT_USABLE | REFUSED)
