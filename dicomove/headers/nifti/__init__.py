"""`convert`: NIfTI files from the series that are volumes, by dcm2niix.

::

    verdict      which series are converted, and with which outcome, reason and message    (pure)
    place        position and orientation of a volume, for comparing images and NIfTI      (pure)
    program      runs dcm2niix, with its options and its time limit
    record       the record of earlier conversions; moves finished files to their names
    jobs         converts several series at a time
    converting   `convert`: its arguments and its table
"""

from dicomove.headers.nifti.converting import CONVERT_COLUMNS, convert
from dicomove.headers.nifti.verdict import REASONS, Converted, Reason

__all__ = ["CONVERT_COLUMNS", "REASONS", "Converted", "Reason", "convert"]
