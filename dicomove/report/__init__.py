"""Presents results: a small table, pictures, an HTML page, and a preview of the images.

::

    table        a result table, also from a journal, in a form for counting
    flow         the number of rows at each step, with the reasons for losses; also as a picture
    summary      `summary`: the numbers as a small table
    plots        `plot`: a run as a picture (extra ``plot``)
    page         `report`: one self-contained HTML file, with a paragraph for a paper
    preview      `preview`: a montage with one image of each series (extra ``plot``)
"""

from dicomove.report.page import report
from dicomove.report.plots import plot
from dicomove.report.preview import preview
from dicomove.report.summary import summary

__all__ = ["plot", "preview", "report", "summary"]
