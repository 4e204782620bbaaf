"""`convert`: NIfTI files from the series that are volumes, by dcm2niix.

::

    verdict      which series are converted, and with which outcome, reason and message    (pure)
    voxels       number, size and position of voxels, to compare images and NIfTI
    record       the record of earlier conversions; moves finished files to their names
    jobs         runs dcm2niix, for several series at a time
    converting   `convert`: its arguments and its table
"""

from dicomove.headers.nifti.converting import CONVERT_COLUMNS, convert
from dicomove.headers.nifti.verdict import REASONS, Converted, Reason

__all__ = ["CONVERT_COLUMNS", "REASONS", "Converted", "Reason", "convert"]
