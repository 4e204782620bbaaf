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
    FindEchoesKeys as FindEchoesKeys,
    FindFoldsPatientId as FindFoldsPatientId,
    FindIgnoresAllKeys as FindIgnoresAllKeys,
    FindListsUids as FindListsUids,
    FindPadsPatientId as FindPadsPatientId,
    FindRepeatsAnswers as FindRepeatsAnswers,
    FindWithEmptyUid as FindWithEmptyUid,
    FindWithEmptyUpperUids as FindWithEmptyUpperUids,
    FindWithoutPatientId as FindWithoutPatientId,
    FindWithoutUid as FindWithoutUid,
    FindWithoutUpperUids as FindWithoutUpperUids,
    FindWithWildcardUids as FindWithWildcardUids,
    MoveIgnoresKeys as MoveIgnoresKeys,
)
from dicomove.testing.faults.base import (
    Abort as Abort,
    Close as Close,
    Die as Die,
    Fault as Fault,
    Refuse as Refuse,
    Reject as Reject,
    Release as Release,
    Request as Request,
    Response as Response,
    SendBytes as SendBytes,
    Vanish as Vanish,
)
from dicomove.testing.faults.endings import (
    AbortsAssociation as AbortsAssociation,
    AbortsAtResponse as AbortsAtResponse,
    Answers as Answers,
    AnswersFind as AnswersFind,
    ClosesAtResponse as ClosesAtResponse,
    CrossesRequests as CrossesRequests,
    Dies as Dies,
    FinalStatus as FinalStatus,
    FindPromisesDataSet as FindPromisesDataSet,
    Hangs as Hangs,
    HangsAtFind as HangsAtFind,
    LimitsAssociations as LimitsAssociations,
    MatchOnSuccess as MatchOnSuccess,
    OutOfResources as OutOfResources,
    PromisesDataSet as PromisesDataSet,
    RefusesGet as RefusesGet,
    RejectsAssociation as RejectsAssociation,
    ResetsAtResponse as ResetsAtResponse,
    SilentAssociation as SilentAssociation,
    UndefinedFindStatus as UndefinedFindStatus,
    UndefinedStatus as UndefinedStatus,
    UnknownDestination as UnknownDestination,
    VanishesAtResponse as VanishesAtResponse,
)
from dicomove.testing.faults.handshakes import (
    AnswersContextsTwice as AnswersContextsTwice,
    AnswersUnknownContexts as AnswersUnknownContexts,
    BinaryVersionName as BinaryVersionName,
    LongVersionName as LongVersionName,
    NoImplementation as NoImplementation,
    OddAeTitles as OddAeTitles,
    OddClassUid as OddClassUid,
    OmitsContexts as OmitsContexts,
    PadsAeTitles as PadsAeTitles,
    RefusesRoles as RefusesRoles,
    SmallPdus as SmallPdus,
    SpeaksNoTls as SpeaksNoTls,
    SpeaksTls as SpeaksTls,
    UndefinedContextResult as UndefinedContextResult,
)
from dicomove.testing.faults.instances import (
    AssociationPerInstance as AssociationPerInstance,
    Bandwidth as Bandwidth,
    BigEndianInLittle as BigEndianInLittle,
    CorruptsInstances as CorruptsInstances,
    EmptyInstances as EmptyInstances,
    EncapsulatedInNative as EncapsulatedInNative,
    ExplicitInImplicit as ExplicitInImplicit,
    GarbageInstances as GarbageInstances,
    GetSendsNothing as GetSendsNothing,
    GetSendsSome as GetSendsSome,
    ImplicitInExplicit as ImplicitInExplicit,
    LosesInstances as LosesInstances,
    MetaInDataSet as MetaInDataSet,
    NativeInEncapsulated as NativeInEncapsulated,
    OtherCompression as OtherCompression,
    OtherInstanceUids as OtherInstanceUids,
    PrivateSopClasses as PrivateSopClasses,
    SendsWholeFiles as SendsWholeFiles,
    StoresAnotherStudy as StoresAnotherStudy,
    StoresTwice as StoresTwice,
    TruncatesInstances as TruncatesInstances,
)
from dicomove.testing.faults.matching import (
    CapsFind as CapsFind,
    IgnoresCase as IgnoresCase,
    IgnoresKeys as IgnoresKeys,
    MatchesPrefixes as MatchesPrefixes,
    NeedsPatientId as NeedsPatientId,
    NoRelatedCounts as NoRelatedCounts,
    RefusesAvailability as RefusesAvailability,
    RefusesImageLevel as RefusesImageLevel,
    RefusesLists as RefusesLists,
    ReportsNearline as ReportsNearline,
    WrongCharacterSet as WrongCharacterSet,
)
from dicomove.testing.faults.responses import (
    CountsOverflow as CountsOverflow,
    EmptyCounts as EmptyCounts,
    FalseSuccess as FalseSuccess,
    FinalBeforeStores as FinalBeforeStores,
    GarbledIdentifier as GarbledIdentifier,
    IgnoresCancel as IgnoresCancel,
    LateCancel as LateCancel,
    Latency as Latency,
    Nearline as Nearline,
    NoCounts as NoCounts,
    NoFailedList as NoFailedList,
    NoFinalCounts as NoFinalCounts,
    NoPendings as NoPendings,
    NoZeroCounts as NoZeroCounts,
    PendingForever as PendingForever,
    RepeatedFailedList as RepeatedFailedList,
    SomeFail as SomeFail,
    StaleResponse as StaleResponse,
    StoredWithWarnings as StoredWithWarnings,
    SuccessWithAllFailed as SuccessWithAllFailed,
    SuccessWithNothingMoved as SuccessWithNothingMoved,
    WarningWithAllFailed as WarningWithAllFailed,
    WrongCounts as WrongCounts,
    WrongFailedList as WrongFailedList,
    ZeroCountsOnFailure as ZeroCountsOnFailure,
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


__all__ = [name for name, value in globals().items() if isinstance(value, type) or name in ("BY_NAME", "named")]
