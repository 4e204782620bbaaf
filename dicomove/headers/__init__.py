"""The headers of received images as a table, which series are volumes, names of the user's own, and NIfTI.

::

    attributes   ``keys=``: attributes by keyword, tag, or path; and their values     (pure)
    planes       position and orientation of each image or frame of a file            (pure)
    reading      reads one file
    folder       reads files in processes, and stores their headers in their folder
    geometry     gaps, duplicates, orientations, spacing of a series                  (pure)
    sources      the files to index: of a folder, a manifest or results
    indexing     `index`: its columns and rows
    names        file names from a template of columns and keywords                   (pure)
    arranging    `arrange`: links or copies under names of the user's own
    nifti/       `convert`: NIfTI by dcm2niix
"""

from dicomove.headers.arranging import How, arrange
from dicomove.headers.geometry import FromHeaders, Geometry, geometry
from dicomove.headers.indexing import Level, index
from dicomove.headers.nifti import REASONS, Converted, Reason, convert

__all__ = [
    "REASONS",
    "Converted",
    "FromHeaders",
    "Geometry",
    "How",
    "Level",
    "Reason",
    "arrange",
    "convert",
    "geometry",
    "index",
]
