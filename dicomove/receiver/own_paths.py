"""Whether the receiver may have given a path to a file, so that the file is not one of the user's. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_dict

from dicomove.receiver.paths import DEFAULT, UNASKED, Component, Part, PathTemplate, component_name, part_name

#: What the receiver adds to a name if another file has it.
_ADDED: Final = re.compile(r"~(?:[0-9a-f]{16}|[0-9]+)(?=(?:\.[^.]*)?$)")
_CHECKSUM: Final = "~[0-9a-f]{16}"
_UID: Final = f"[0-9.]*(?:{_CHECKSUM})?"
_VALUE: Final = f"[A-Za-z0-9._-]*(?:{_CHECKSUM})?"
_CUT: Final = re.compile(rf".{{80}}{_CHECKSUM}~.{{80}}")


def fits(
    template: PathTemplate, path: str, values: Mapping[str, str] | None = None, *, plain_uids: bool = False
) -> bool:
    """Return whether the receiver may have given this path to an instance.

    Parameters
    ----------
    template
        The template of its paths.
    path
        The path, relative to the folder.
    values
        The known values of the instance; an absent one may be any.
    plain_uids
        Whether unknown UIDs have digits and dots, as nearly all do.

    Examples
    --------
    >>> template = PathTemplate("{PatientID}/{SOPInstanceUID}.dcm")
    >>> fits(template, "P1/1.2.3.dcm"), fits(template, "P1/1.2.3~2.dcm"), fits(template, "mine/MR.dcm")
    (True, True, False)
    >>> fits(template, "P1/1.2.3.dcm", {"PatientID": "P2"})
    False
    """
    return any(
        len(components) == len(names)
        and all(_fits(*pair, values or {}, plain_uids) for pair in zip(components, names, strict=True))
        for components, names in _readings(template, path.split("/"))
    )


def _readings(template: PathTemplate, names: list[str]) -> list[tuple[list[Component], list[str]]]:
    found = [(template.components, names)]
    if template.columns and names[0] == UNASKED:
        found.append((DEFAULT.components, names[1:]))
    return found


def _fits(component: Component, name: str, values: Mapping[str, str], plain_uids: bool) -> bool:  # noqa: FBT001 (as in `fits`)
    names = {name, _ADDED.sub("", name)}
    if all(part.keyword in values for part in component if part.keyword):
        return component_name(component, values) in names
    pattern = re.compile("~?" + "".join(_pattern(part, values, plain_uids) for part in component))
    return any(form.fullmatch(one) for form, one in product((pattern, _CUT), names))


def _pattern(part: Part, values: Mapping[str, str], plain_uids: bool) -> str:  # noqa: FBT001 (as in `fits`)
    if not part.keyword or part.keyword in values:
        return re.escape(part_name(part, values))
    is_plain = part.keyword == "SOPInstanceUID" or (plain_uids and _is_uid(part.keyword))
    return _UID if is_plain else _VALUE


def _is_uid(keyword: str) -> bool:
    return keyword in keyword_dict and dictionary_VR(keyword) == "UI"
