"""All faults of a PACS, by name.

Each fault is a small class. Its docstring names the real PACS that have it. Several faults form a list; ``studies=``,
``attempts=`` and ``probability=`` limit each to some of the requests.

>>> from dicomove.testing import faults
>>> faults.NoPendings(probability=0.1).name
'no-pendings'
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
from dicomove.testing.faults.associations import (
    AbortsAssociation,
    AbortsAtResponse,
    ClosesAtResponse,
    Dies,
    Hangs,
    HangsAtFind,
    LimitsAssociations,
    RejectsAssociation,
    ResetsAtResponse,
    SilentAssociation,
    SmallPdus,
    VanishesAtResponse,
)
from dicomove.testing.faults.base import (
    Abort,
    Close,
    Die,
    Fault,
    Refuse,
    Reject,
    Request,
    Response,
    Vanish,
)
from dicomove.testing.faults.instances import (
    AssociationPerInstance,
    Bandwidth,
    CorruptsInstances,
    EmptyInstances,
    GarbageInstances,
    LosesInstances,
    OtherInstanceUids,
    PrivateSopClasses,
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
    RefusesImageLevel,
    RefusesLists,
    WrongCharacterSet,
)
from dicomove.testing.faults.responses import (
    Answers,
    AnswersFind,
    CountsOverflow,
    EmptyCounts,
    FalseSuccess,
    FinalBeforeStores,
    FinalStatus,
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
    OutOfResources,
    PendingForever,
    RepeatedFailedList,
    SomeFail,
    StaleResponse,
    StoredWithWarnings,
    SuccessWithAllFailed,
    SuccessWithNothingMoved,
    UnknownDestination,
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
    "AnswersFind",
    "AssociationPerInstance",
    "Bandwidth",
    "CapsFind",
    "Close",
    "ClosesAtResponse",
    "CorruptsInstances",
    "CountsOverflow",
    "Die",
    "Dies",
    "EmptyCounts",
    "EmptyInstances",
    "FalseSuccess",
    "Fault",
    "FinalBeforeStores",
    "FinalStatus",
    "FindEchoesKeys",
    "FindFoldsPatientId",
    "FindIgnoresAllKeys",
    "FindListsUids",
    "FindPadsPatientId",
    "FindRepeatsAnswers",
    "FindWithEmptyUid",
    "FindWithEmptyUpperUids",
    "FindWithWildcardUids",
    "FindWithoutPatientId",
    "FindWithoutUid",
    "FindWithoutUpperUids",
    "GarbageInstances",
    "GarbledIdentifier",
    "Hangs",
    "HangsAtFind",
    "IgnoresCancel",
    "IgnoresCase",
    "IgnoresKeys",
    "LateCancel",
    "Latency",
    "LimitsAssociations",
    "LosesInstances",
    "MatchesPrefixes",
    "MoveIgnoresKeys",
    "Nearline",
    "NeedsPatientId",
    "NoCounts",
    "NoFailedList",
    "NoFinalCounts",
    "NoPendings",
    "NoRelatedCounts",
    "NoZeroCounts",
    "OtherInstanceUids",
    "OutOfResources",
    "PendingForever",
    "PrivateSopClasses",
    "Refuse",
    "RefusesImageLevel",
    "RefusesLists",
    "Reject",
    "RejectsAssociation",
    "RepeatedFailedList",
    "Request",
    "ResetsAtResponse",
    "Response",
    "SilentAssociation",
    "SmallPdus",
    "SomeFail",
    "StaleResponse",
    "StoredWithWarnings",
    "StoresAnotherStudy",
    "StoresTwice",
    "SuccessWithAllFailed",
    "SuccessWithNothingMoved",
    "TruncatesInstances",
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
