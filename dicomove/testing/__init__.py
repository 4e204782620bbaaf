"""A PACS for rehearsals, without a hospital: it behaves well, or has the faults of real PACS.

>>> import dicomove
>>> with demo_pacs() as pacs:
...     dicomove.echo(pacs).status
'0x0000'

::

    rehearsal    `RehearsalPacs`: a PACS in a separate process; the parts of the demo
    process      the process, and its settings
    archive      the instances of a PACS, and the rules by which C-FIND and C-MOVE select among them
    matching     attribute matching (PS3.4 C.2.2.2), and an index of studies by date
    associations accepts and opens associations; C-STORE on both sides
    server       answers C-ECHO, C-FIND, C-MOVE and C-GET
    responder    sends the responses to one request, and counts its C-STOREs
    images       a small archive of real images
    phantoms     a small archive of volumes
    synthetic    generates instances at the moment of reading
    faults/      faults of real PACS
    raw/         peers that send any bytes
    plugin       the fixture for pytest
"""

from dicomove.testing import faults
from dicomove.testing.phantoms import phantoms
from dicomove.testing.rehearsal import RehearsalPacs, RunningPacs, demo_pacs
from dicomove.testing.synthetic import Synthetic

__all__ = ["RehearsalPacs", "RunningPacs", "Synthetic", "demo_pacs", "faults", "phantoms"]
