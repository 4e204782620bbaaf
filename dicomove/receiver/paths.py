"""The path of an instance: a template of keywords and of columns of the caller's table, with safe names.

The values come from a peer, and a name has to be valid on Linux, macOS and Windows, and on a network file system with
any mount options.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final, NoReturn

from pydicom.datadict import dictionary_VR, keyword_dict

DEFAULT_PATH: Final = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
"""The default path, without identifiers of a patient."""

UNASKED: Final = "unasked"
"""The folder of instances without a row, for a template with columns; below it, they have the default path."""

_INSTANCE: Final = "SOPInstanceUID"
_NUMBER: Final = "InstanceNumber"
_COLUMN: Final = re.compile(r"[^\W\d][\w -]*")
#: A name this similar to a keyword is a mistake, and not a column.
_MISSPELT: Final = 0.85
_NO_TEXT: Final = {"AT", "FD", "FL", "SL", "SQ", "SS", "SV", "UL", "UN", "US", "UV"}
_DATA_SET: Final = 0x00080000

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PLAIN_UID: Final = re.compile(r"[0-9](?:[0-9.]{0,62}[0-9])?")
_NOT_UID: Final = re.compile(r"[^0-9.]+")
#: A name of a device on Windows.
DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_LITERAL: Final = re.compile(r"[A-Za-z0-9._=+-]*")
# Names of instances never contain these characters, so they can separate the parts.
_SEPARATOR: Final = re.compile(r"[_-]")
# A name may have 255 bytes; some of them are reserved for suffixes of the receiver.
_LONGEST: Final = 200


def safe(value: str) -> str:
    r"""Return a value as a name that every file system accepts.

    A plain value does not change. Any other value becomes its plain characters, ``~`` and a checksum. Plain values do
    not contain ``~``, so different values have different names.

    Examples
    --------
    >>> safe("PAT-0001"), safe("1.2.840.10008")
    ('PAT-0001', '1.2.840.10008')
    >>> safe("../etc"), safe("CON"), safe("")
    ('etc~f7f9121fdb53d8de', 'CON~a3dbc4b644a9a2c5', '~e3b0c44298fc1c14')
    """
    if _PLAIN.fullmatch(value) and not DEVICE.fullmatch(value):
        return value
    return _checked(value, _NOT_PLAIN)


class PathTemplate:
    """The template for the paths of instances, below the folder of a receiver.

    Parameters
    ----------
    template
        Components with ``/`` between them, and DICOM keywords in braces.
    takes_columns
        Whether other names in braces are columns of the caller's table.

    Attributes
    ----------
    template
        The text of the template.
    keywords
        The keywords, each once, in their order.
    columns
        The columns, each once, in their order.
    components
        The parts of each component.
    may_clash
        Whether two instances may get the same path; this is possible only with columns.

    Raises
    ------
    ValueError
        The template is invalid. The message has the reason.

    Examples
    --------
    >>> template = PathTemplate("{PatientID}/{Modality}_{SOPInstanceUID}.dcm")
    >>> template.keywords
    ('PatientID', 'Modality', 'SOPInstanceUID')
    >>> template.relative({"PatientID": "000123", "Modality": "CT", "SOPInstanceUID": "1.2.3"})
    PurePosixPath('000123/CT_1.2.3.dcm')
    >>> own = PathTemplate("sub-{subject}/{SeriesNumber}/{InstanceNumber}.dcm", takes_columns=True)
    >>> own.columns
    ('subject',)
    >>> own.relative({"SeriesNumber": "3", "InstanceNumber": "7"}, {"subject": "01"})
    PurePosixPath('sub-01/3/7.dcm')
    """

    def __init__(self, template: str, *, takes_columns: bool = False) -> None:
        self.template = template

        def check_field(name: str) -> None:
            if not (takes_columns and _is_column(name)):
                _check_keyword(template, name)

        self.components = components_of(template, check_field)
        fields = dict.fromkeys(part.keyword for component in self.components for part in component if part.keyword)
        self.keywords: tuple[str, ...] = tuple(name for name in fields if _is_attribute(name))
        self.columns: tuple[str, ...] = tuple(name for name in fields if not _is_attribute(name))
        self.may_clash = not any(_tells_instances_apart(component) for component in self.components)
        if self.columns:
            _check_own(template, self.components)
        elif _INSTANCE not in fields:
            refuse(template, f"it has no {{{_INSTANCE}}}; without it two instances would share a name")
        for component in self.components:
            check_component(template, component)
            _check_length(template, component)
        if self.may_clash and not self.columns:
            refuse(
                template,
                f"two instances could share a name; put {{{_INSTANCE}}} at the beginning or at the end of a component, "
                "with '_' or '-' between it and another keyword",
            )

    def relative(self, values: Mapping[str, str], cells: Mapping[str, str] | None = None) -> PurePosixPath:
        """Return the path of an instance, below the folder. Keywords may lack a value.

        Parameters
        ----------
        values
            The values of the instance.
        cells
            The columns of the row that asked for it; ``None`` if no row did.
        """
        if self.columns and cells is None:
            return PurePosixPath(UNASKED) / DEFAULT.relative(values)
        known = {**values, **(cells or {})}
        return PurePosixPath(*(component_name(component, known) for component in self.components))

    def own_part(self, cells: Mapping[str, str]) -> str:
        """Return the part of the path from the columns of a row, without case, as some file systems compare it."""
        return str(PurePosixPath(*(component_name(component, cells) for component in self.components))).casefold()


@dataclass(frozen=True, slots=True)
class Part:
    """Plain text, or the name of a field."""

    literal: str = ""
    keyword: str = ""


Component = tuple[Part, ...]


def components_of(template: str, check_field: Callable[[str], None]) -> list[Component]:
    """Return the components of a template; `check_field` refuses names of fields.

    Raises
    ------
    ValueError
        The template is invalid. `check_component` has further checks.
    """
    components: list[list[Part]] = [[]]
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        refuse(template, f"its braces do not match ({error})", error)
    for literal, field, form, conversion in parsed:
        first, *others = literal.split("/")
        components[-1].append(Part(literal=first))
        components.extend([Part(literal=other)] for other in others)
        if field is not None:
            if form or conversion:
                refuse(template, f"write {{{field}}}, and nothing else in the braces")
            check_field(field)
            components[-1].append(Part(keyword=field))
    # A doubled brace is plain text, which the parser returns in two parts.
    return [tuple(part for part in component if part != Part()) for component in components]


def _is_attribute(name: str) -> bool:
    return name in keyword_dict


def _is_column(name: str) -> bool:
    """Whether a name can be a column of the caller's table: it is neither a keyword nor similar to one."""
    if name in keyword_dict or not _COLUMN.fullmatch(name):
        return False
    if not name[0].isupper():
        return not any(name.casefold() == known.casefold() for known in keyword_dict)
    return not difflib.get_close_matches(name.casefold(), [known.casefold() for known in keyword_dict], 1, _MISSPELT)


def _check_own(template: str, components: Sequence[Component]) -> None:
    """Refuse a template with columns in which two values have no separator, or that does not distinguish instances."""
    for component in components:
        for before, after in pairwise(component):
            both = before.keyword, after.keyword
            if all(both) and not all(map(_is_attribute, both)):
                refuse(template, f"put '_' or '-' between {{{both[0]}}} and {{{both[1]}}}")
    if not {_INSTANCE, _NUMBER} & {part.keyword for component in components for part in component}:
        refuse(template, f"it has neither {{{_NUMBER}}} nor {{{_INSTANCE}}}, which tell the images of a series apart")


def _check_keyword(template: str, keyword: str) -> None:
    tag = keyword_dict.get(keyword, 0) if keyword else 0  # pydicom has attributes without a keyword
    if tag < _DATA_SET:
        near = difflib.get_close_matches(
            keyword, [known for known in keyword_dict if keyword_dict[known] >= _DATA_SET], 1
        )
        hint = f"; did you mean {{{near[0]}}}?" if near else ""
        refuse(template, f"{{{keyword}}} is not the keyword of an attribute of a data set{hint}")
    vr = dictionary_VR(tag)
    if vr in _NO_TEXT or vr.startswith("O") or " or " in vr:
        refuse(template, f"the value of {{{keyword}}} is not text")


def check_component(template: str, component: Component) -> None:
    """Refuse a component without a name, or with text that some file system refuses."""
    literal = _literal(component)
    if "\\" in literal:
        refuse(template, "it has a backslash; components are separated by '/'")
    if not component:
        absolute = template.startswith("/")
        refuse(template, "it is an absolute path" if absolute else "it has a component without a name")
    if literal == ".." and not any(part.keyword for part in component):
        refuse(template, "'..' would leave the folder")
    if not _LITERAL.fullmatch(literal):
        refuse(template, "beside keywords and columns it may have letters of A-Z, digits, and '.', '_', '-', '=', '+'")
    if component[0].literal.startswith(".") or component[-1].literal.endswith("."):
        refuse(template, "a component cannot begin or end with a dot")


def _check_length(template: str, component: Component) -> None:
    literal = _literal(component)
    if len(literal) > _LONGEST // 2:
        refuse(template, "it has a component that is too long")
    if not any(part.keyword for part in component) and DEVICE.fullmatch(literal):
        refuse(template, f"{literal!r} is the name of a device on Windows")


def _literal(component: Component) -> str:
    return "".join(part.literal for part in component)


def _tells_instances_apart(component: Component) -> bool:
    """Whether a component identifies the instance, because separators divide it from other keywords."""
    fields = [part.keyword for part in component]
    if _INSTANCE not in fields:
        return False
    at = fields.index(_INSTANCE)
    return not (_runs_into(component[at + 1 :]) or any(fields[:at])) or (
        not _runs_into(component[:at][::-1]) and not any(fields[at + 1 :])
    )


def _runs_into(neighbours: Sequence[Part]) -> bool:
    """Whether a keyword is among the neighbours, from the nearest on, before any separator."""
    for part in neighbours:
        if part.keyword:
            return True
        if _SEPARATOR.search(part.literal):
            return False
    return False


def part_name(part: Part, values: Mapping[str, str]) -> str:
    """Return the name of a part of a component; a field without a value counts as empty."""
    value = values.get(part.keyword, "") if part.keyword else part.literal
    if part.keyword != _INSTANCE:
        return safe(value) if part.keyword else value
    # Names of instances also differ on a file system that ignores case.
    return value if _PLAIN_UID.fullmatch(value) else _checked(value, _NOT_UID)


def component_name(component: Component, values: Mapping[str, str]) -> str:
    """Return the name of a component."""
    name = "".join(part_name(part, values) for part in component)
    if DEVICE.fullmatch(name):
        # Safe parts may join to an unsafe name: {Modality}{SeriesNumber} with COM and 1.
        return f"~{name}"
    if len(name) > _LONGEST:
        return f"{name[:80]}~{checksum(name)}~{name[-80:]}"
    return name


def with_checksum(path: PurePosixPath, value: str) -> PurePosixPath:
    """Return another name instead of this one, with a checksum of a value.

    Examples
    --------
    >>> with_checksum(PurePosixPath("sub-01/3/7.dcm"), "1.2.3")
    PurePosixPath('sub-01/3/7~c47f5b18b8a430e6.dcm')
    """
    return path.with_name(f"{path.stem}~{checksum(value)}{path.suffix}")


def _checked(value: str, unsafe: re.Pattern[str]) -> str:
    rest = unsafe.sub("", value).lstrip(".")[:40]
    if DEVICE.fullmatch(f"{rest}~"):
        rest = rest.replace(".", "")  # NUL.txt is a device, whatever follows
    return f"{rest}~{checksum(value)}"


def checksum(value: str) -> str:
    """Return the first 16 digits of the SHA-256 of a text."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def refuse(template: str, reason: str, cause: Exception | None = None) -> NoReturn:
    """Raise a ValueError about a template."""
    message = f"the path {template!r} cannot be used: {reason}"
    raise ValueError(message) from cause


DEFAULT: Final = PathTemplate(DEFAULT_PATH)
