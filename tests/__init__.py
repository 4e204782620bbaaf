"""The tests of dicomove.

pynetdicom brings commands that are named like those of DCMTK (`storescp`, `movescu`). An activated environment would
find them first, so the folder of this Python goes to the end of PATH, for everything that tests and benchmarks start.
"""

import os
import sys
from pathlib import Path

_own = str(Path(sys.executable).parent)
_others = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder and folder != _own]
os.environ["PATH"] = os.pathsep.join([*_others, "/usr/sbin", _own])
