"""What arrived, as a table of headers; and whether the images of a series are a volume.

::

    keys         attributes by keyword, tag, or path through sequences        (pure)
    reading      one file: values, and where its images lie
    processes    the processes that read
    folder       the files of a folder; what was read is kept
    geometry     gaps, duplicates, orientations, spacing of a series          (pure)
    sources      a folder, a manifest or results; the rows that asked
    table        `index`
    names        a template of columns and keywords                           (pure)
    naming       the values of its fields
    arranging    `arrange`
    conversion   what is converted, and what came of it, as words             (pure)
    dcm2niix     runs the program
    converted    the record of what was converted
    publishing   gives whole files their names
    conversions  converts several at a time
    converting   `convert`
"""

from dicomove.headers.arranging import How, arrange
from dicomove.headers.conversion import Converted, Reason
from dicomove.headers.converting import convert
from dicomove.headers.geometry import Geometry, geometry
from dicomove.headers.table import Level, index

__all__ = ["Converted", "Geometry", "How", "Level", "Reason", "arrange", "convert", "geometry", "index"]
