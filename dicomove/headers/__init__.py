"""What arrived, as a table of headers; and whether the images of a series are a volume.

::

    keys         attributes by keyword, tag, or path through sequences     (pure)
    values       the values of attributes, as text and numbers             (pure)
    planes       where the images of a file lie in space                   (pure)
    reading      one file
    folder       the files of a folder, and the processes that read them; what was read is kept
    geometry     gaps, duplicates, orientations, spacing of a series       (pure)
    sources      a folder, a manifest or results; the rows that asked
    table        `index`
    names        names from a template of columns and keywords             (pure)
    arranging    `arrange`
    nifti/       `convert`
"""

from dicomove.headers.arranging import How, arrange
from dicomove.headers.geometry import Geometry, Told, geometry
from dicomove.headers.nifti import Converted, Reason, convert
from dicomove.headers.table import Level, index

__all__ = ["Converted", "Geometry", "How", "Level", "Reason", "Told", "arrange", "convert", "geometry", "index"]
