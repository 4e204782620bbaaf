"""All faults of a PACS, by name.

Each fault is a small class. Its docstring names the real PACS that have it. Several faults form a list; ``studies=``,
``attempts=`` and ``probability=`` limit each to some of the requests.

>>> from dicomove.testing import faults
>>> faults.NoPendings(probability=0.1).name
'no-pendings'

::

    base          the base class: its methods see and change requests, instances and responses
    injector      decides which faults affect a request
    endings       associations that the PACS rejects, aborts, closes, limits or does not answer; final responses
    handshakes    odd values in A-ASSOCIATE-RQ and A-ASSOCIATE-AC
    responses     missing or endless responses, false counts, false lists
    matching      refused levels and lists, too many or too few answers
    answers       answers without their unique key, and about other patients
    instances     wrong and absent instances, and data sets in another transfer syntax than announced
"""

from difflib import get_close_matches

from dicomove.testing.faults.answers import (
    FindEchoesKeys,
    FindFoldsPatientId,
    FindIgnoresAllKeys,
    FindListsUids,
    FindPadsPatientId,
    FindRepeatsAnswers,
    FindWithEmptyUid,
    FindWithEmptyUpperUids,
    FindWithoutPatientId,
    FindWithoutUid,
    FindWithoutUpperUids,
    FindWithWildcardUids,
    MoveIgnoresKeys,
)
from dicomove.testing.faults.base import (
    Abort,
    Close,
    Die,
    Fault,
    Refuse,
    Reject,
    Release,
    Request,
    Response,
    SendBytes,
    Vanish,
)
from dicomove.testing.faults.endings import (
    AbortsAssociation,
    AbortsAtResponse,
    Answers,
    AnswersFind,
    ClosesAtResponse,
    CrossesRequests,
    Dies,
    FinalStatus,
    FindPromisesDataSet,
    Hangs,
    HangsAtFind,
    LimitsAssociations,
    MatchOnSuccess,
    OutOfResources,
    PromisesDataSet,
    RefusesGet,
    RejectsAssociation,
    ResetsAtResponse,
    SilentAssociation,
    UndefinedFindStatus,
    UndefinedStatus,
    UnknownDestination,
    VanishesAtResponse,
)
from dicomove.testing.faults.handshakes import (
    AnswersContextsTwice,
    AnswersUnknownContexts,
    BinaryVersionName,
    LongVersionName,
    NoImplementation,
    OddAeTitles,
    OddClassUid,
    OmitsContexts,
    PadsAeTitles,
    RefusesRoles,
    SmallPdus,
    SpeaksNoTls,
    SpeaksTls,
    UndefinedContextResult,
)
from dicomove.testing.faults.instances import (
    AssociationPerInstance,
    Bandwidth,
    BigEndianInLittle,
    CorruptsInstances,
    EmptyInstances,
    EncapsulatedInNative,
    ExplicitInImplicit,
    GarbageInstances,
    GetSendsNothing,
    GetSendsSome,
    ImplicitInExplicit,
    LosesInstances,
    MetaInDataSet,
    NativeInEncapsulated,
    OtherCompression,
    OtherInstanceUids,
    PrivateSopClasses,
    SendsWholeFiles,
    StoresAnotherStudy,
    StoresTwice,
    TruncatesInstances,
)
from dicomove.testing.faults.matching import (
    CapsFind,
    IgnoresCase,
    IgnoresKeys,
    MatchesPrefixes,
    NeedsPatientId,
    NoRelatedCounts,
    RefusesAvailability,
    RefusesImageLevel,
    RefusesLists,
    ReportsNearline,
    WrongCharacterSet,
)
from dicomove.testing.faults.responses import (
    CountsOverflow,
    EmptyCounts,
    FalseSuccess,
    FinalBeforeStores,
    GarbledIdentifier,
    IgnoresCancel,
    LateCancel,
    Latency,
    Nearline,
    NoCounts,
    NoFailedList,
    NoFinalCounts,
    NoPendings,
    NoZeroCounts,
    PendingForever,
    RepeatedFailedList,
    SomeFail,
    StaleResponse,
    StoredWithWarnings,
    SuccessWithAllFailed,
    SuccessWithNothingMoved,
    WarningWithAllFailed,
    WrongCounts,
    WrongFailedList,
    ZeroCountsOnFailure,
)

#: Every fault by its name in the shell.
BY_NAME: dict[str, type[Fault]] = {
    kind().name: kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, Fault) and kind is not Fault
}


def named(name: str) -> Fault:
    """Return the fault of this name, with its default parameters.

    Raises
    ------
    LookupError
        There is none; the text lists similar names.

    Examples
    --------
    >>> named("no-pendings").name
    'no-pendings'
    """
    if name not in BY_NAME:
        alike = ", ".join(get_close_matches(name, BY_NAME, n=5, cutoff=0.3)) or ", ".join(BY_NAME)
        message = f"there is no fault {name!r}; similar names: {alike}"
        raise LookupError(message)
    return BY_NAME[name]()


__all__ = [
    "BY_NAME",
    "Abort",
    "AbortsAssociation",
    "AbortsAtResponse",
    "Answers",
    "AnswersContextsTwice",
    "AnswersFind",
    "AnswersUnknownContexts",
    "AssociationPerInstance",
    "Bandwidth",
    "BigEndianInLittle",
    "BinaryVersionName",
    "CapsFind",
    "Close",
    "ClosesAtResponse",
    "CorruptsInstances",
    "CountsOverflow",
    "CrossesRequests",
    "Die",
    "Dies",
    "EmptyCounts",
    "EmptyInstances",
    "EncapsulatedInNative",
    "ExplicitInImplicit",
    "FalseSuccess",
    "Fault",
    "FinalBeforeStores",
    "FinalStatus",
    "FindEchoesKeys",
    "FindFoldsPatientId",
    "FindIgnoresAllKeys",
    "FindListsUids",
    "FindPadsPatientId",
    "FindPromisesDataSet",
    "FindRepeatsAnswers",
    "FindWithEmptyUid",
    "FindWithEmptyUpperUids",
    "FindWithWildcardUids",
    "FindWithoutPatientId",
    "FindWithoutUid",
    "FindWithoutUpperUids",
    "GarbageInstances",
    "GarbledIdentifier",
    "GetSendsNothing",
    "GetSendsSome",
    "Hangs",
    "HangsAtFind",
    "IgnoresCancel",
    "IgnoresCase",
    "IgnoresKeys",
    "ImplicitInExplicit",
    "LateCancel",
    "Latency",
    "LimitsAssociations",
    "LongVersionName",
    "LosesInstances",
    "MatchOnSuccess",
    "MatchesPrefixes",
    "MetaInDataSet",
    "MoveIgnoresKeys",
    "NativeInEncapsulated",
    "Nearline",
    "NeedsPatientId",
    "NoCounts",
    "NoFailedList",
    "NoFinalCounts",
    "NoImplementation",
    "NoPendings",
    "NoRelatedCounts",
    "NoZeroCounts",
    "OddAeTitles",
    "OddClassUid",
    "OmitsContexts",
    "OtherCompression",
    "OtherInstanceUids",
    "OutOfResources",
    "PadsAeTitles",
    "PendingForever",
    "PrivateSopClasses",
    "PromisesDataSet",
    "Refuse",
    "RefusesAvailability",
    "RefusesGet",
    "RefusesImageLevel",
    "RefusesLists",
    "RefusesRoles",
    "Reject",
    "RejectsAssociation",
    "Release",
    "RepeatedFailedList",
    "ReportsNearline",
    "Request",
    "ResetsAtResponse",
    "Response",
    "SendBytes",
    "SendsWholeFiles",
    "SilentAssociation",
    "SmallPdus",
    "SomeFail",
    "SpeaksNoTls",
    "SpeaksTls",
    "StaleResponse",
    "StoredWithWarnings",
    "StoresAnotherStudy",
    "StoresTwice",
    "SuccessWithAllFailed",
    "SuccessWithNothingMoved",
    "TruncatesInstances",
    "UndefinedContextResult",
    "UndefinedFindStatus",
    "UndefinedStatus",
    "UnknownDestination",
    "Vanish",
    "VanishesAtResponse",
    "WarningWithAllFailed",
    "WrongCharacterSet",
    "WrongCounts",
    "WrongFailedList",
    "ZeroCountsOnFailure",
    "named",
]
