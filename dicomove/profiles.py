"""Profiles: PACS from a `dicomove.toml`, with overrides from variables of the environment.

::

    [pacs.main]
    address = "ARCHIVE@pacs.hospital.example:104"
    calling_ae_title = "RESEARCH"
    idle_timeout = 300
    user = {name = "research", passcode = {keyring = "archive"}}

    [pacs.main.tls]
    ca = "hospital.pem"
    certificate = "research.pem"
    password = {env = "KEY_PASSWORD"}

The file is that of the project, the nearest one from the working directory upwards, or else that of the user.
``DICOMOVE_MAIN_IDLE_TIMEOUT`` overrides a key of the profile ``main``, and ``DICOMOVE_IDLE_TIMEOUT`` one of every
profile.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import platformdirs

from dicomove.errors import AddressError
from dicomove.tls import TLS
from dicomove.user import User

FILE_NAME: Final = "dicomove.toml"

_NUMBERS: Final = (
    *("max_pdu_length", "connect_timeout", "association_timeout", "idle_timeout", "first_response_timeout"),
)
_KEYS: Final = ("address", "called_ae_title", "calling_ae_title", *_NUMBERS, "tls", "user")
_TLS_FILES: Final = ("ca", "certificate", "key")
_SECRETS: Final = ("passcode", "token")
_TLS_SECRETS: Final = ("password",)
_TLS_KEYS: Final = (*_TLS_FILES, *_TLS_SECRETS, "verify", "profile", "server_name")
#: The user number of the system's administrator, whose files are trusted.
_ADMINISTRATOR: Final = 0
#: A valid address, to check one other key alone.
_ANY_ADDRESS: Final = "127.0.0.1:104"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a profile, and its place."""

    value: object
    where: str


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A `dicomove.toml` that was read; `lines` has the line at which each table and key begins."""

    path: Path
    tables: Mapping[str, Mapping[str, object]]
    lines: Mapping[tuple[str, ...], int]

    def where(self, *path: str) -> str:
        """Return the file and the line of a key, or of the table that contains it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return f"{self.path}, line {self.lines[path[:length]]}"
        return str(self.path)

    def settings(self, name: str) -> dict[str, Setting]:
        """Return the settings of one profile in this file.

        Raises
        ------
        AddressError
            An unknown key, or a secret that stands in the file.
        """
        table = self.tables[name]
        self._check_keys(table, _KEYS, name)
        settings = {key: Setting(_limit(value), self.where("pacs", name, key)) for key, value in table.items()}
        tls, user = table.get("tls"), table.get("user")
        if isinstance(tls, dict):
            self._check_keys(tls, _TLS_KEYS, name, "tls")
            self._check_secrets(tls, _TLS_SECRETS, name, "tls")
            settings["tls"] = self._made(TLS, tls | self._paths(tls), name, "tls")
        if isinstance(user, dict):
            self._check_keys(user, ("name", *_SECRETS), name, "user")
            self._check_secrets(user, _SECRETS, name, "user")
            settings["user"] = self._made(User, user, name, "user")
        return settings

    def _check_keys(self, table: Mapping[str, object], known: Iterable[str], *path: str) -> None:
        for key in table:
            if key not in known:
                message = f"{self.where('pacs', *path, key)}: {_unknown(key, known)}"
                raise AddressError(message)

    def _made(self, make: Callable[..., object], keywords: Mapping[str, object], *path: str) -> Setting:
        where = self.where("pacs", *path)
        return Setting(_checked(make, keywords, where), where)

    def _paths(self, tls: Mapping[str, object]) -> dict[str, Path]:
        """Return the files of the table `tls`; a relative path begins at the folder of this file."""
        named = {key: tls[key] for key in _TLS_FILES if isinstance(tls.get(key), str)}
        return {key: self.path.absolute().parent / Path(str(path)).expanduser() for key, path in named.items()}

    def _check_secrets(self, table: Mapping[str, object], secrets: Iterable[str], *path: str) -> None:
        for key in secrets:
            if key in table and not isinstance(table[key], dict):
                message = (
                    f"{self.where('pacs', *path, key)}: no secret may stand in this file: write "
                    f'{key} = {{keyring = "SERVICE"}} or {{env = "VARIABLE"}}'
                )
                raise AddressError(message)


def load(name: str, make: Callable[..., T]) -> T:
    """Return the result of `make` for the settings of a profile.

    Parameters
    ----------
    name
        The profile.
    make
        Takes the keys of a profile as keywords, and raises `AddressError`.

    Raises
    ------
    AddressError
        There is no such profile, or a key or value is wrong. The message names file and line, or the variable.
    """
    if not isinstance(name, str):
        message = f"a profile is named by text, not by {type(name).__name__}"
        raise AddressError(message)
    files = [read(path) for path in profile_files(Path.cwd())]
    holder = next((file for file in files if name in file.tables), None)
    settings = (holder.settings(name) if holder else {}) | environment_settings(name, os.environ)
    if holder is None and _variable(name, "address") not in os.environ:
        raise AddressError(_no_profile(name, files))
    where = holder.where("pacs", name) if holder else f"the profile {name!r}"
    if "address" not in settings:
        message = f'{where}: the profile {name!r} has no address: add address = "AET@host:port"'
        raise AddressError(message)
    for key, setting in settings.items():
        _checked(lambda **chosen: make(**{"address": _ANY_ADDRESS} | chosen), {key: setting.value}, setting.where)
    return _checked(make, {key: setting.value for key, setting in settings.items()}, where)


def names(folder: Path) -> list[str]:
    """Return the names of the profiles in the file of the project, or else in that of the user.

    Raises
    ------
    AddressError
        As for `read`.
    """
    return next((list(read(path).tables) for path in profile_files(folder)), [])


def _check_owner(path: Path) -> None:
    """Refuse a file that any user may have put there: it decides which host gets the keys of the cohort.

    Raises
    ------
    AddressError
        It belongs to another user, and everyone can write it or its folder.
    """
    if os.name != "posix":
        return
    found, folder = path.stat(), path.parent.stat()
    if found.st_uid not in (os.geteuid(), _ADMINISTRATOR) and (found.st_mode | folder.st_mode) & stat.S_IWOTH:
        message = (
            f"{path} belongs to another user, and everyone can write it or into its folder: it may lead your queries "
            "elsewhere. Remove it, or work in another folder"
        )
        raise AddressError(message)


def profile_files(folder: Path) -> list[Path]:
    """Return the files that may have a profile: that of the project, then that of the user."""
    project = (place / FILE_NAME for place in (folder, *folder.parents))
    of_project = next((path for path in project if path.is_file()), None)
    return [path for path in dict.fromkeys((of_project, _of_user())) if path and path.is_file()]


def _of_user() -> Path | None:
    try:
        return platformdirs.user_config_path("dicomove", appauthor=False) / FILE_NAME
    except RuntimeError:  # a user without a folder, as in some containers
        return None


def read(path: Path) -> ProfileFile:
    """Read a `dicomove.toml`.

    Raises
    ------
    AddressError
        It is not TOML, or has other content than tables ``[pacs.NAME]``; or any user may have put it there.
    """
    try:
        _check_owner(path)
        text = path.read_text(encoding="utf-8-sig")
        found = tomllib.loads(text)
    except (OSError, UnicodeError) as error:
        message = f"{path}: it cannot be read as UTF-8 text"
        raise AddressError(message) from error
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(?P<what>.*) \(at line (?P<line>\d+), column \d+\)", str(error))
        message = f"{path}, line {said['line']}: {said['what']}" if said else f"{path}: {error}"
        raise AddressError(message) from error
    tables = found.get("pacs", {})
    file = ProfileFile(path, tables if isinstance(tables, dict) else {}, statement_lines(text))
    for name in found:
        if name != "pacs":
            raise AddressError(f"{file.where(name)}: {_unknown(name, ['pacs'])}; a profile is [pacs.NAME]")  # noqa: EM102
    for name, table in tables.items() if isinstance(tables, dict) else [("", tables)]:
        if not isinstance(table, dict):
            message = f"{file.where('pacs', name)}: a profile is a table: write its name, as in [pacs.main]"
            raise AddressError(message)
    return file


def environment_settings(name: str, environment: Mapping[str, str]) -> dict[str, Setting]:
    """Return the settings of a profile from variables; a variable for this profile overrides one for all profiles.

    Raises
    ------
    AddressError
        A variable of this profile has an unknown key or a value that is not a number.

    Examples
    --------
    >>> found = environment_settings("main", {"DICOMOVE_IDLE_TIMEOUT": "60", "DICOMOVE_MAIN_IDLE_TIMEOUT": "none"})
    >>> found["idle_timeout"].where
    'the variable DICOMOVE_MAIN_IDLE_TIMEOUT'
    """
    of_all = {f"DICOMOVE_{key.upper()}": key for key in _KEYS}
    known = of_all | {_variable(name, key): key for key in _KEYS}
    for variable in environment:
        key = variable.removeprefix(_variable(name, "")).lower()
        # DICOMOVE_A_B_ADDRESS is of the profile `a-b`, and not of the profile `a`.
        if variable.startswith(_variable(name, "")) and variable not in known and not key.endswith(_KEYS):
            message = f"the variable {variable}: {_unknown(key, _KEYS)}"
            raise AddressError(message)
    return {
        key: Setting(_from_text(key, environment[variable], variable), f"the variable {variable}")
        for variable, key in known.items()
        if environment.get(variable)
    }


def statement_lines(text: str) -> dict[tuple[str, ...], int]:
    r"""Return the line at which each table and key of a TOML document begins.

    Examples
    --------
    >>> statement_lines("[pacs.main]\n\naddress = 'A@h:1'")[("pacs", "main", "address")]
    3
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    statement, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if statement else number
        statement += f"{line}\n"
        try:
            paths = list(_paths(tomllib.loads(statement)))
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        if statement.lstrip().startswith("["):
            table = max(paths, key=len)
            paths, prefix = [table], ()
        else:
            prefix = table
        for path in paths:
            for length in range(1, len(path) + 1):
                lines.setdefault(prefix + path[:length], first)
        statement = ""
    return lines


def _paths(table: Mapping[str, object]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))


def _checked(make: Callable[..., T], chosen: Mapping[str, Any], where: str) -> T:
    try:
        return make(**chosen)
    except AddressError as error:
        message = f"{where}: {error}"
        raise AddressError(message) from error


def _variable(name: str, key: str) -> str:
    return f"DICOMOVE_{re.sub('[^A-Za-z0-9]', '_', name)}_{key}".upper()


def _from_text(key: str, text: str, variable: str) -> object:
    if key == "tls":
        return {"true": True, "false": False}.get(text.lower(), text)
    if key not in _NUMBERS or text in ("none", "auto"):
        return _limit(text)
    try:
        number = float(text)
    except ValueError:
        message = f"the variable {variable}: {key}={text!r}: give a number, or none for no limit"
        raise AddressError(message) from None
    return int(number) if number.is_integer() else number


def _limit(value: object) -> object:
    """Return a value as `Pacs` takes it; TOML and the environment have no `None`."""
    return None if value == "none" else value


def _unknown(key: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(key, names, 1)
    return f"unknown key {key!r}: " + (f"write {close[0]!r}" if close else f"the keys are {', '.join(names)}")


def _no_profile(name: str, files: Iterable[ProfileFile]) -> str:
    known = [f"{', '.join(map(repr, file.tables)) or 'none'} in {file.path}" for file in files]
    place = _of_user() or "the folder of the user, who has none"
    there = f"the profiles are {'; '.join(known)}" if known else f"there is no {FILE_NAME} here, above, or at {place}"
    named = "of this name" if "@" in name else repr(name)  # an address may have a password
    return f"no profile {named}: {there}. An address is written AET@host:port"
