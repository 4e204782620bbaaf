"""A PACS for rehearsals, without a hospital: it behaves well, or has the faults of real PACS.

>>> import dicomove
>>> with demo_pacs() as pacs:
...     dicomove.echo(pacs).status
'0x0000'
"""

from dicomove.testing import faults
from dicomove.testing.demo import demo_pacs
from dicomove.testing.phantoms import phantoms
from dicomove.testing.rehearsal import RehearsalPacs, RunningPacs
from dicomove.testing.synthetic import Synthetic

__all__ = ["RehearsalPacs", "RunningPacs", "Synthetic", "demo_pacs", "faults", "phantoms"]
