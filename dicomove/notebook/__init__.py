"""What a run looks like in a notebook: one panel, drawn a few times a second, whose last state stays in the file.

::

    state        what is known of a run, folded from its events    (pure)
    wording      what is said of it                                 (pure)
    rendering    the panel as HTML, and as text for what shows none (pure)
    drawing      when it is drawn, and where
    progress     which display shows a run, and at what rate
    job          the same panel with buttons, for a job in the background

The panel is HTML under one display id, and no widget: a widget's state is not in the notebook that papermill or
nbconvert save, and needs the network to be shown again. The buttons of a job are the only widgets.
"""

from dicomove.notebook.drawing import PanelDisplay, in_notebook
from dicomove.notebook.job import Job, JobPanel
from dicomove.notebook.progress import Display, Phases, Progress, check_progress, display, job_display
from dicomove.notebook.rendering import to_html, to_text
from dicomove.notebook.state import Flight, PanelState
from dicomove.notebook.wording import size

__all__ = [
    "Display",
    "Flight",
    "Job",
    "JobPanel",
    "PanelDisplay",
    "PanelState",
    "Phases",
    "Progress",
    "check_progress",
    "display",
    "in_notebook",
    "job_display",
    "size",
    "to_html",
    "to_text",
]
