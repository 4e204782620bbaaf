"""Starts a process that reads headers: ``python -P start.py ROOT``, where ROOT is the folder that holds the package.

The packages' own modules are left out: they load pandas, which takes half a second, and is not needed.
"""

import sys
from importlib import import_module
from types import ModuleType


def start(root: str) -> None:
    """Run `dicomove.headers.reading`, with empty modules in the place of the packages above it."""
    for name in ("dicomove", "dicomove.headers"):
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = ["/".join([root, *name.split(".")])]
    # pydicom loads these to download its test files and to decode pixels, which is not done here.
    for name in ("requests", "gdcm", "PIL"):
        sys.modules[name] = None  # type: ignore[assignment]  # None stops an import
    import_module("dicomove.headers.reading").main()


if __name__ == "__main__":
    start(*sys.argv[1:])
