"""Starts one of dicomove's own processes: ``python -P start.py ROOT MODULE [ARGUMENT ...]``.

ROOT is the folder with the package. MODULE is `dicomove.receiver.main`, for example, whose `main` gets the arguments.
Empty modules replace the packages' ``__init__``: those load pandas, which takes half a second and 70 MB, and is not
needed.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Final

#: The packages whose modules these processes import one by one.
_PACKAGES: Final = ("cohort", "dimse", "headers", "receiver", "store", "testing")
#: pydicom loads these to download its test files and to decode pixels. The processes need neither.
_NOT_NEEDED: Final = ("requests", "numpy", "gdcm", "PIL")


def load(root: str, module: str) -> ModuleType:
    """Return a module, loaded with empty modules instead of the packages."""
    for name in ("dicomove", *(f"dicomove.{package}" for package in _PACKAGES)):
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = ["/".join([root, *name.split(".")])]
    for name in _NOT_NEEDED:
        sys.modules[name] = None  # type: ignore[assignment]  # None stops an import
    return import_module(module)


if __name__ == "__main__":
    load(*sys.argv[1:3]).main(*sys.argv[3:])
