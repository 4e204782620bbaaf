"""`convert`: series that are volumes as NIfTI, by dcm2niix.

::

    verdict      what is converted, and what came of it, as words             (pure)
    place        where a volume lies in space                                 (pure)
    program      runs dcm2niix
    record       what was converted, for a second call; gives whole files their names
    jobs         converts several series at a time
    converting   `convert`
"""

from dicomove.headers.nifti.converting import CONVERT_COLUMNS, convert
from dicomove.headers.nifti.verdict import REASONS, Converted, Reason

__all__ = ["CONVERT_COLUMNS", "REASONS", "Converted", "Reason", "convert"]
