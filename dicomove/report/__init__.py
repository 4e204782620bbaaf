"""Results that read themselves: a small table, pictures, a page that can be handed on, a look at the images.

::

    table        a result table, or that of a journal, as it can be counted
    flow         how many rows reached each step, and why not all      (pure)
    summary      the numbers as a small table
    figures      how a notebook shows a picture
    flow_chart   the flow as a picture
    plots        all of it as a picture (extra ``plot``)
    methods      all of it as a paragraph                              (pure)
    pseudonyms   keyed hashes instead of identifiers                   (pure)
    page         `report`: one file that needs nothing else
    preview      a montage of what arrived (extra ``plot``)
"""

from dicomove.report.page import report
from dicomove.report.plots import plot
from dicomove.report.preview import preview
from dicomove.report.summary import summary

__all__ = ["plot", "preview", "report", "summary"]
