"""A PACS to try things on, without a hospital.

>>> import dicomove
>>> with demo_pacs() as pacs:
...     dicomove.echo(pacs).status
'0x0000'
"""

from dicomove.testing.demo import DemoPacs, demo_pacs

__all__ = ["DemoPacs", "demo_pacs"]
