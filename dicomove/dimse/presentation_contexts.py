"""The presentation contexts that dicomove proposes: services (PS3.4 A.4, C.6), and storage for C-GET. Pure.

An association has at most 128 contexts, so a study with many classes needs several (PS3.4 C.5.3.1). A PACS takes one
transfer syntax of each context, so each syntax is proposed alone in the end. And some PACS send every instance of a
class in its first context (DCMTK's dcmqrscp): then the others fail, although contexts for them were accepted, until one
comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from pydicom import uid

#: The characters of a UID: readers of such a text understand it, or say that they do not.
LOOSE_UID: Final = re.compile(r"[0-9.]{1,64}")
VERIFICATION: Final = "1.2.840.10008.1.1"
FIND: Final = {"PatientRoot": "1.2.840.10008.5.1.4.1.2.1.1", "StudyRoot": "1.2.840.10008.5.1.4.1.2.2.1"}
MOVE: Final = {"PatientRoot": "1.2.840.10008.5.1.4.1.2.1.2", "StudyRoot": "1.2.840.10008.5.1.4.1.2.2.2"}
GET: Final = {"PatientRoot": "1.2.840.10008.5.1.4.1.2.1.3", "StudyRoot": "1.2.840.10008.5.1.4.1.2.2.3"}
SERVICES: Final = {
    VERIFICATION: "Verification",
    **{uid: f"{model} FIND" for model, uid in FIND.items()},
    **{uid: f"{model} MOVE" for model, uid in MOVE.items()},
}
#: Context numbers are odd and have 8 bits (PS3.8 9.3.2.2); one context is that of C-GET itself.
MOST_CONTEXTS: Final = 128 - 1

#: The most common ones first: if there are too few contexts, those at the end share one.
_STORED_SYNTAXES: Final = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.JPEGLosslessSV1,
    uid.JPEG2000Lossless,
    uid.JPEGBaseline8Bit,
    uid.JPEG2000,
    uid.JPEGLSLossless,
    uid.RLELossless,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLSNearLossless,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.MPEG4HP41,
    uid.MPEG2MPML,
    uid.MPEG2MPHL,
    uid.MPEG4HP41BD,
    uid.MPEG4HP422D,
    uid.MPEG4HP423D,
    uid.MPEG4HP42STEREO,
    uid.HEVCMP51,
    uid.HEVCM10P51,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
    uid.JPEG2000MCLossless,
    uid.JPEG2000MC,
)
#: Instances of these classes are mostly videos.
_VIDEOS: Final = frozenset(
    {uid.VideoEndoscopicImageStorage, uid.VideoMicroscopicImageStorage, uid.VideoPhotographicImageStorage}
)
#: The usual ones. All of them would leave no round for the images beside the videos.
_OF_VIDEO: Final = (uid.MPEG4HP41, uid.MPEG2MPML, uid.MPEG2MPHL, uid.MPEG4HP41BD)

#: The SOP classes to propose if those of the study are unknown.
COMMON_CLASSES: Final = (
    uid.CTImageStorage,
    uid.MRImageStorage,
    uid.EnhancedCTImageStorage,
    uid.EnhancedMRImageStorage,
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
    uid.DigitalMammographyXRayImageStorageForPresentation,
    uid.DigitalMammographyXRayImageStorageForProcessing,
    uid.BreastTomosynthesisImageStorage,
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.EnhancedPETImageStorage,
    uid.NuclearMedicineImageStorage,
    uid.XRayAngiographicImageStorage,
    uid.XRayRadiofluoroscopicImageStorage,
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.EncapsulatedPDFStorage,
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.XRayRadiationDoseSRStorage,
    uid.KeyObjectSelectionDocumentStorage,
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.SegmentationStorage,
    uid.RTImageStorage,
    uid.RTDoseStorage,
    uid.RTStructureSetStorage,
    uid.RTPlanStorage,
    uid.RawDataStorage,
    uid.VLPhotographicImageStorage,
    uid.VLEndoscopicImageStorage,
    uid.VLMicroscopicImageStorage,
    uid.OphthalmicPhotography8BitImageStorage,
    uid.OphthalmicTomographyImageStorage,
    uid.TwelveLeadECGWaveformStorage,
    uid.GeneralECGWaveformStorage,
)
Contexts = list[tuple[str, Sequence[str]]]
#: Rounds with another syntax first that bring nothing, if none brings anything: the PACS fails for another reason then.
_MOST_IN_VAIN: Final = 8
#: A PACS writes each of them in every other.
_UNCOMPRESSED = {
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
}


def storage_contexts(sop_classes: Iterable[str]) -> list[tuple[str, Sequence[str]]]:
    """Return abstract and transfer syntaxes, with as many contexts for each class as possible.

    If there is no room for a context for each transfer syntax, the last context of a class has all remaining ones.

    Parameters
    ----------
    sop_classes
        The SOP classes. The first 127 of them get a context.

    Examples
    --------
    >>> len(storage_contexts(["1.2.840.10008.5.1.4.1.1.2"])), len(storage_contexts(COMMON_CLASSES))
    (27, 120)
    """
    classes = list(dict.fromkeys(sop_classes))[:MOST_CONTEXTS]
    alone = max(1, MOST_CONTEXTS // max(1, len(classes))) - 1
    single = [[syntax] for syntax in _STORED_SYNTAXES[:alone]]
    rest = [list(_STORED_SYNTAXES[alone:])] if _STORED_SYNTAXES[alone:] else []
    return [(sop_class, syntaxes) for sop_class in classes for syntaxes in (*single, *rest)]


class Rounds:
    """The rounds of one C-GET.

    Parameters
    ----------
    classes
        The SOP classes of the study.

    Attributes
    ----------
    accepted
        What the PACS accepted, as pairs of SOP class and transfer syntax.
    """

    def __init__(self, classes: Iterable[str]) -> None:
        self._classes = list(dict.fromkeys(classes))
        self._waiting = list(self._classes)
        self._were_others_proposed = False
        self.accepted: dict[tuple[str, str], None] = {}
        self._proposed: set[tuple[str, str]] = set()
        self._were_first: set[tuple[str, str]] = set()
        self._in_vain = 0
        self._depends_on_syntax = False

    @property
    def has_further_classes(self) -> bool:
        """Whether there are classes that have not been proposed yet."""
        return bool(self._waiting)

    @property
    def takes_uncompressed_only(self) -> bool:
        """Whether the PACS accepted no context for compressed instances."""
        return bool(self.accepted) and all(syntax in _UNCOMPRESSED for _, syntax in self.accepted)

    def next(self) -> Contexts | None:
        """Return the next proposal, or ``None`` after all of them."""
        contexts = self._of_further_classes() or self._of_classes_not_named() or self._not_yet_alone()
        if not contexts and (self._depends_on_syntax or self._in_vain < _MOST_IN_VAIN):
            contexts = self._not_yet_first()
            self._in_vain += 1
        self._proposed |= {(sop_class, syntaxes[0]) for sop_class, syntaxes in contexts if len(syntaxes) == 1}
        return contexts or None

    def ended(self, contexts: Iterable[tuple[str, str]], *, brought: bool) -> None:
        """Note what the PACS accepted in a round, in the order of the contexts, and whether instances came."""
        self._depends_on_syntax |= brought and self._in_vain > 0
        first: dict[str, str] = {}
        for sop_class, syntax in contexts:
            self.accepted[sop_class, syntax] = None
            first.setdefault(sop_class, syntax)
        for sop_class, syntax in first.items():
            alike = _UNCOMPRESSED if syntax in _UNCOMPRESSED else {syntax}
            self._were_first |= {(sop_class, one) for one in alike}

    def _of_further_classes(self) -> Contexts:
        now, self._waiting = self._waiting[:MOST_CONTEXTS], self._waiting[MOST_CONTEXTS:]
        return storage_contexts(now)

    def _of_classes_not_named(self) -> Contexts:
        """Return common classes, once: a PACS may name the class of the first instance only, or not those to come."""
        if self._were_others_proposed:
            return []
        self._were_others_proposed = True
        return storage_contexts(one for one in COMMON_CLASSES if one not in self._classes)

    def _not_yet_alone(self) -> Contexts:
        pairs = [(sop_class, syntax) for syntax in _STORED_SYNTAXES for sop_class in self._classes]
        left = [pair for pair in pairs if pair[1] not in _UNCOMPRESSED and pair not in self._proposed]
        return [(sop_class, [syntax]) for sop_class, syntax in left[:MOST_CONTEXTS]]

    def _not_yet_first(self) -> Contexts:
        left = [pair for pair in self.accepted if pair not in self._were_first]
        is_of_video = any(sop_class in _VIDEOS for sop_class, _ in left)
        order = (*_OF_VIDEO, *_STORED_SYNTAXES) if is_of_video else _STORED_SYNTAXES
        syntax = next((syntax for syntax in order if any(syntax == other for _, other in left)), None)
        return [(sop_class, [syntax]) for sop_class, other in left if other == syntax]
