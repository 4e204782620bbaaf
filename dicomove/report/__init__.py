"""Results that read themselves: a small table, pictures, a page that can be handed on, a look at the images.

::

    flow         the numbers: rows, what became of them, and why      (pure)
    summary      the same as a small table
    plots        the same as pictures (extra ``plot``)
    pseudonyms   keyed hashes instead of identifiers                  (pure)
    page         `report`: one file that needs nothing else
    preview      a montage of what arrived (extra ``plot``)
"""

from dicomove.report.page import report
from dicomove.report.plots import plot
from dicomove.report.preview import preview
from dicomove.report.summary import summary

__all__ = ["plot", "preview", "report", "summary"]
