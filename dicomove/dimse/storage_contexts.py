"""The presentation contexts of a C-GET: what the PACS may send back on the same association (PS3.4 C.5.3.1). Pure.

A PACS takes one transfer syntax of each context. Where a class has a context for each transfer syntax, every instance
can come as it is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydicom import uid

#: Context numbers are odd and have 8 bits (PS3.8 9.3.2.2); one context is that of C-GET itself.
MOST_CONTEXTS: Final = 128 - 1

#: The commonest first: where contexts are scarce, those at the end share one.
STORED_SYNTAXES: Final = (
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

#: What is proposed where it is not known what there is.
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


def storage_contexts(sop_classes: Iterable[str]) -> list[tuple[str, Sequence[str]]]:
    """Return abstract and transfer syntaxes: as many contexts for each class as there is room for.

    Where there is no room for one context for each transfer syntax, the last context of a class has all that are left.

    Parameters
    ----------
    sop_classes
        What there is. The first 127 of them have a context.

    Examples
    --------
    >>> len(storage_contexts(["1.2.840.10008.5.1.4.1.1.2"])), len(storage_contexts(COMMON_CLASSES))
    (27, 120)
    """
    classes = list(dict.fromkeys(sop_classes))[:MOST_CONTEXTS]
    alone = max(1, MOST_CONTEXTS // max(1, len(classes))) - 1
    single = [[syntax] for syntax in STORED_SYNTAXES[:alone]]
    rest = [list(STORED_SYNTAXES[alone:])] if STORED_SYNTAXES[alone:] else []
    return [(sop_class, syntaxes) for sop_class in classes for syntaxes in (*single, *rest)]
