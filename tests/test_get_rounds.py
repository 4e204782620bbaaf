"""C-GET in several rounds: classes without room, and PACS that send a class in one transfer syntax only."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from pydicom import Dataset, uid

import dicomove as dm
from dicomove.dimse.association import Association
from dicomove.dimse.presentation_contexts import COMMON_CLASSES, MOST_CONTEXTS, Contexts, Rounds, storage_contexts
from dicomove.testing import faults
from dicomove.testing.archive import Instance
from dicomove.testing.associations import store, storing
from dicomove.testing.faults.base import Fault, Request, Response
from dicomove.testing.faults.injector import Chain
from dicomove.testing.responder import Responder, SubOperations
from dicomove.testing.server import QueryRetrieveScp
from tests import receiving, servers
from tests.images import pixels
from tests.servers import Held

pytestmark = pytest.mark.timeout(90)

CT, JPEG, J2K = uid.CTImageStorage, uid.JPEGBaseline8Bit, uid.JPEG2000Lossless
PLAIN = uid.ExplicitVRLittleEndian


def rounds_of(rounds: Rounds, accepts: Sequence[tuple[str, str]], *, brings: bool = True) -> list[Contexts]:
    """Play all rounds with a PACS that accepts these pairs, the first syntax of a context that it can."""
    played = []
    while (contexts := rounds.next()) is not None:
        assert 0 < len(contexts) <= MOST_CONTEXTS
        played.append(contexts)
        taken = [
            next(((sop_class, one) for one in syntaxes if (sop_class, one) in accepts), None)
            for sop_class, syntaxes in contexts
        ]
        rounds.ended([pair for pair in taken if pair], brought=brings)
        assert len(played) < 100
    return played


def test_every_class_has_its_round() -> None:
    classes = [f"1.2.{number}" for number in range(300)]
    played = rounds_of(Rounds(classes), [(one, PLAIN) for one in classes])
    assert {sop_class for contexts in played[:3] for sop_class, _ in contexts} == set(classes)


def test_every_syntax_is_proposed_alone_where_there_was_no_room() -> None:
    classes = [f"1.2.{number}" for number in range(40)]
    played = rounds_of(Rounds(classes), [])
    alone = {(sop_class, syntaxes[0]) for contexts in played for sop_class, syntaxes in contexts if len(syntaxes) == 1}
    assert {(one, syntax) for one in classes for syntax in (JPEG, J2K, uid.RLELossless, uid.HTJ2K)} <= alone


def test_each_accepted_syntax_comes_first_once() -> None:
    played = rounds_of(Rounds([CT]), [(CT, PLAIN), (CT, uid.ImplicitVRLittleEndian), (CT, JPEG), (CT, J2K)])
    assert played[2:] == [[(CT, [J2K])], [(CT, [JPEG])]]


def test_classes_that_the_pacs_has_not_named_are_proposed_once() -> None:
    played = rounds_of(Rounds([CT]), [(CT, PLAIN)])
    assert {one for one, _ in played[0]} == {CT}
    assert {one for one, _ in played[1]} == set(COMMON_CLASSES) - {CT}
    assert len(rounds_of(Rounds(COMMON_CLASSES), [])) > 1


def test_a_pacs_that_takes_no_compressed_instances_is_not_asked_for_them_again() -> None:
    rounds = Rounds([CT])
    assert len(rounds_of(rounds, [(CT, PLAIN), (CT, uid.ImplicitVRLittleEndian)])) == 2
    assert rounds.takes_uncompressed_only


EVERY = [syntax for _, syntaxes in storage_contexts([CT]) for syntax in syntaxes]


def test_rounds_that_bring_nothing_end_soon() -> None:
    accepts = [(CT, syntax) for syntax in EVERY]
    assert len(rounds_of(Rounds([CT]), accepts)) == 25
    assert [contexts[0][1] for contexts in rounds_of(Rounds([CT]), accepts, brings=False)[2:]] == [
        [syntax] for syntax in EVERY[2:10]
    ]


def test_videos_are_asked_for_first_where_there_may_be_some() -> None:
    video = uid.VideoEndoscopicImageStorage
    played = rounds_of(Rounds([video]), [(video, syntax) for syntax in EVERY], brings=False)
    assert played[2:4] == [[(video, [uid.MPEG4HP41])], [(video, [uid.MPEG2MPML])]]


def test_rounds_go_on_once_another_syntax_has_brought_something() -> None:
    """The first context decides then: an image beside a video may be in any syntax."""
    classes = uid.VideoEndoscopicImageStorage, uid.VLEndoscopicImageStorage
    rounds, played = Rounds(classes), list[Contexts]()
    while (contexts := rounds.next()) is not None:
        played.append(contexts)
        rounds.ended([(one, syntaxes[0]) for one, syntaxes in contexts], brought=contexts[0][1] == [uid.MPEG4HP41])
    assert (classes[1], [EVERY[-1]]) in played[-1]


def test_images_beside_videos_have_their_rounds_too() -> None:
    classes = uid.VideoEndoscopicImageStorage, uid.VLEndoscopicImageStorage
    accepts = [(one, syntax) for one in classes for syntax in EVERY]
    played = rounds_of(Rounds(classes), accepts, brings=False)
    assert [(uid.VLEndoscopicImageStorage, [JPEG])] in [contexts[-1:] for contexts in played]


# ---------------------------------------------------------------------------------------------------- real servers


def _store(port: int, held: Sequence[Held]) -> None:
    """Store files bit for bit, by as many associations as there are syntaxes of a class."""
    instances = [Instance.from_file(one.path) for one in held]
    by_syntax: dict[str, list[Instance]] = defaultdict(list)
    for one in instances:
        by_syntax[one.transfer_syntax].append(one)
    for some in by_syntax.values():
        with storing(("127.0.0.1", port), "QRSCP", "SENDER", some, ("SENDER", 1)) as send:
            assert [send(one) for one in some] == [0] * len(some)


def _got(pacs: dm.Pacs, held: Sequence[Held], folder: Path) -> pd.DataFrame:
    studies = pd.DataFrame({"StudyInstanceUID": list(dict.fromkeys(one.study for one in held))})
    with dm.Receiver(folder, port=None) as receiver:
        result = receiving.move(studies, pacs, receiver, method="get")
        assert receiver.manifest()["SOPInstanceUID"].is_unique
        assert list(folder.glob(".dicomove/quarantine/*")) == []
    return result


def test_qrscp_sends_every_transfer_syntax(tmp_path: Path, images: Path) -> None:
    """It tells no SOP classes, and no destination is configured."""
    held = [one for one in servers.held(images) if one.transfer_syntax != uid.ExplicitVRBigEndian]
    with servers.qrscp(tmp_path) as port:
        _store(port, held)
        result = _got(dm.Pacs(f"QRSCP@127.0.0.1:{port}"), held, tmp_path / "received")
    assert set(result["outcome"]) == {"complete"}, result[["outcome", "error", "advice"]].to_dict()
    there = receiving.files(tmp_path / "received")
    assert there.keys() == {one.instance for one in held}
    assert {one.transfer_syntax for one in held} >= {JPEG, PLAIN}
    syntaxes = dm.read_manifest(tmp_path / "received").set_index("SOPInstanceUID")["TransferSyntaxUID"].to_dict()
    compressed = {one.instance: one.transfer_syntax for one in held if "1.2.4." in one.transfer_syntax}
    assert compressed.items() <= syntaxes.items()
    for one in held:
        if syntaxes[one.instance] == one.transfer_syntax:
            assert pixels(there[one.instance]) == pixels(one.path)


def test_dcmqrscp_sends_what_it_has_in_jpeg(tmp_path: Path, images: Path) -> None:
    """Configured to accept JPEG, it sends each class in its first context."""
    syntaxes = {*servers.UNCOMPRESSED, JPEG}
    held = [one for one in servers.held(images) if one.transfer_syntax in syntaxes]
    assert JPEG in {one.transfer_syntax for one in held}
    with servers.dcmqrscp(tmp_path, images, {}, options=["+xy"], syntaxes=syntaxes) as port:
        result = _got(dm.Pacs(f"DCMQRSCP@127.0.0.1:{port}"), held, tmp_path / "received")
    assert set(result["outcome"]) == {"complete"}, result[["outcome", "error", "advice"]].to_dict()
    assert result["status"].eq("0x0000").all()
    assert result["attempts"].eq(1).all()
    assert receiving.files(tmp_path / "received").keys() == {one.instance for one in held}


def test_instances_that_dcmqrscp_does_not_send_are_explained(tmp_path: Path, images: Path) -> None:
    held = [one for one in servers.held(images) if one.transfer_syntax == JPEG]
    with servers.dcmqrscp(tmp_path, images, {}, syntaxes={JPEG}) as port:
        result = _got(dm.Pacs(f"DCMQRSCP@127.0.0.1:{port}"), held, tmp_path / "received")
    assert set(result["outcome"]) == {"failed"}
    assert result["advice"].str.contains("accepts no compressed transfer syntax for C-GET").all()


def test_a_final_response_whose_data_set_never_comes(tmp_path: Path) -> None:
    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, faults.PromisesDataSet()) as pacs:
        result = receiving.move(receiving.studies(), pacs, receiver, method="get")
    assert receiving.row(result, "outcome", "status", "received") == ("complete", "0x0000", 6)


class Scp(QueryRetrieveScp):
    """A PACS that notes its C-GETs, and converts each instance to the first context, except for one that fails."""

    gets = 0
    says: Response | None = None

    def _get(self, responder: Responder, chain: Chain, identifier: Dataset, association: Association) -> None:
        Scp.gets += 1
        operations = SubOperations(responder, chain, self.archive.select(identifier, chain.request.query_model))
        operations.run(lambda instance: self._sent(instance, association))
        if self.says:
            responder.respond(self.says)
        else:
            operations.finish()

    def _sent(self, instance: Instance, association: Association) -> int:
        if instance.sop_instance_uid.endswith(".1"):
            return 0xC000
        first = association.context_for(instance.sop_class_uid)
        if first is None:
            return 0xC000
        return store(association, replace(instance, transfer_syntax=first.transfer_syntax))


class Stopping(Scp):
    says = Response(status=0xA900, completed=5, failed=1)


class Cancelling(Scp):
    says = Response(status=0xFE00, completed=5, failed=1, remaining=0)


class Boasting(Scp):
    says = Response(status=0x0000, completed=6, failed=0)


@pytest.mark.parametrize(
    ("kind", "gets", "error"),
    [
        (Scp, 3, "some_failed"),
        (Stopping, 3, "identifier_mismatch"),
        (Cancelling, 1, "cancelled_by_pacs"),
        (Boasting, 1, "missing_instances"),
    ],
)
def test_a_pacs_is_not_asked_again_in_vain(kind: type[Scp], gets: int, error: str, tmp_path: Path) -> None:
    """An instance that cannot be read brought 23 further requests, each with the whole study."""
    Scp.gets = 0
    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, kind=kind) as pacs:
        result = receiving.move(receiving.studies(), pacs, receiver, method="get")
    assert receiving.row(result, "outcome", "error", "received") == ("partial", error, 5)
    assert Scp.gets == gets


class Refusing(Scp):
    says = Response(status=0xA900, completed=0, failed=6)


def test_a_refusal_of_the_request_is_not_laid_to_the_contexts(tmp_path: Path) -> None:
    Scp.gets = 0
    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, kind=Refusing) as pacs:
        result = receiving.move(receiving.studies(), pacs, receiver, method="get", retry=None)
    assert receiving.row(result, "outcome", "error") == ("partial", "identifier_mismatch")
    assert "transfer syntax" not in result["advice"][0]
    assert Scp.gets == 1


class Hasty(QueryRetrieveScp):
    """A PACS that answers before it sends the last instances."""

    counts = True

    def _get(self, responder: Responder, chain: Chain, identifier: Dataset, association: Association) -> None:
        *most, late, last = self.archive.select(identifier, chain.request.query_model)
        operations = SubOperations(responder, chain, [*most, late, last])
        operations.run(lambda one: 0 if one in (late, last) else store(association, one))
        if self.counts:
            operations.finish()
        else:
            responder.respond(Response(status=0x0000))
        assert [store(association, one) for one in (late, last)] == [0, 0]


class WithoutCounts(Hasty):
    counts = False


@pytest.mark.parametrize("kind", [Hasty, WithoutCounts])
def test_instances_that_come_after_the_final_response(kind: type[Hasty], tmp_path: Path) -> None:
    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, kind=kind) as pacs:
        result = receiving.move(receiving.studies(count=2), pacs, receiver, method="get")
    assert result["outcome"].tolist() == ["complete"] * 2, result[["error", "advice"]].to_dict()
    assert result["attempts"].tolist() == [1, 1]


class Pausing(WithoutCounts):
    """Without counts, and with a pause before the last instances."""

    def _get(self, responder: Responder, chain: Chain, identifier: Dataset, association: Association) -> None:
        *most, late, last = self.archive.select(identifier, chain.request.query_model)
        assert {store(association, one) for one in most} == {0}
        responder.respond(Response(status=0x0000))
        time.sleep(0.05)
        assert [store(association, one) for one in (late, last)] == [0, 0]


@pytest.mark.parametrize("number", [0, 4])
def test_the_late_instances_of_a_study_that_has_grown(number: int, tmp_path: Path) -> None:
    """The table has the number of an earlier `find`. The instances beyond it were lost, and the row was complete."""
    studies = receiving.studies()
    studies["NumberOfStudyRelatedInstances"] = number
    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, kind=Pausing) as pacs:
        result = receiving.move(studies, pacs, receiver, method="get")
    assert receiving.row(result, "outcome", "received", "attempts") == ("complete", 6, 1)


class Repeating(QueryRetrieveScp):
    """A PACS without counts that repeats its last instance until the association ends."""

    repeated = 0

    def _get(self, responder: Responder, chain: Chain, identifier: Dataset, association: Association) -> None:
        instances = self.archive.select(identifier, chain.request.query_model)
        assert {store(association, one) for one in instances} == {0}
        responder.respond(Response(status=0x0000))
        with suppress(dm.errors.AssociationError):
            for _ in range(8):
                store(association, instances[-1])
                type(self).repeated += 1
                time.sleep(0.6)  # between both of the waits


@pytest.mark.parametrize("level", ["STUDY", "IMAGE"])
def test_nothing_is_waited_for_once_the_expected_number_has_come(level: str, tmp_path: Path) -> None:
    studies = receiving.studies()
    studies["NumberOfStudyRelatedInstances"] = 6
    if level == "IMAGE":
        one = next(iter(receiving.SMALL.instances_of_all()))
        studies["SeriesInstanceUID"], studies["SOPInstanceUID"] = one.series_instance_uid, one.sop_instance_uid
    Repeating.repeated = 0
    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, kind=Repeating) as pacs:
        result = receiving.move(studies, pacs, receiver, method="get")
    assert result["outcome"].tolist() == ["complete"]
    assert Repeating.repeated < 8, "it waited until the PACS had sent all of its repetitions"


class Sparing(QueryRetrieveScp):
    """A PACS without counts that sends one instance after its final response, and keeps the last one back."""

    sent: ClassVar[threading.Event]

    def _get(self, responder: Responder, chain: Chain, identifier: Dataset, association: Association) -> None:
        *most, late, _ = self.archive.select(identifier, chain.request.query_model)
        assert {store(association, one) for one in most} == {0}
        responder.respond(Response(status=0x0000))
        assert store(association, late) == 0
        self.sent.set()


@pytest.mark.filterwarnings("ignore::dicomove.errors.InterruptedWarning")
def test_a_stop_after_the_final_response_cancels_nothing(tmp_path: Path) -> None:
    """The C-GET had ended with Success, but the row was `cancelled`, and the PACS got a C-CANCEL."""
    Sparing.sent = threading.Event()
    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, kind=Sparing) as pacs:
        studies = receiving.studies()
        job = dm.start_move(studies, pacs, receiver, method="get", journal=False, retry=None, progress=False)
        assert Sparing.sent.wait(60)
        job.cancel()
        result = job.wait()
    assert receiving.row(result, "status", "received") == ("0x0000", 5)
    assert result["outcome"].item() in ("unconfirmed", "partial"), result["advice"].item()


@pytest.mark.parametrize("said", ["", "MR", "junk"])
def test_a_pacs_that_names_its_classes_wrongly(said: str, tmp_path: Path) -> None:
    """Another class than that of the instances, or text that is not a UID."""
    named = {"": "", "MR": uid.MRImageStorage, "junk": "CT Image Storage\\" + "1" * 80}[said]

    class Naming(Fault):
        commands = ("C-FIND",)

        def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:  # noqa: ARG002
            for match in matches:
                if "SOPClassesInStudy" in match:
                    match["SOPClassesInStudy"]._value = named.split("\\")
            return matches

    with dm.Receiver(tmp_path, port=None) as receiver, receiving.pacs({}, Naming()) as pacs:
        result = receiving.move(receiving.studies(), pacs, receiver, method="get")
    assert receiving.row(result, "outcome", "status", "received") == ("complete", "0x0000", 6)
