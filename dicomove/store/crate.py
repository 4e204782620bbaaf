"""Describes a run as an RO-Crate: the request, the software, and the received files, in the words of schema.org.

RO-Crate (https://www.researchobject.org/ro-crate/) describes a data set in one JSON-LD file beside it. The library
`rocrate` writes it and reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from dicomove.cohort import UNIQUE_KEYS
from dicomove.files import replacing
from dicomove.store.pseudonyms import Pseudonyms
from dicomove.store.schema import shown_options

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

CRATE_FILE: Final = "ro-crate-metadata.json"
"""The name that RO-Crate gives the file."""

_UIDS: Final = UNIQUE_KEYS["StudyRoot"]["IMAGE"]
_RUN, _COHORT, _PACS = "#run", "#cohort", "#pacs"
_COMPLETED, _FAILED = (f"http://schema.org/{word}ActionStatus" for word in ("Completed", "Failed"))


def write_crate(path: Path, results: pd.DataFrame, files: pd.DataFrame, names: Pseudonyms | None) -> None:
    """Write the description of a run.

    Parameters
    ----------
    path
        The file, whose name is ``ro-crate-metadata.json``.
    results
        The table of a journal's run.
    files
        The manifest of its files.
    names
        Pseudonyms of UIDs and of the cohort's hash; ``None`` writes them unchanged, with the files' own paths.

    Raises
    ------
    ImportError
        ``rocrate`` is not installed.
    """
    if find_spec("rocrate") is None:
        message = 'an RO-Crate needs rocrate: pip install "dicomove[provenance]"'
        raise ImportError(message)
    from rocrate.rocrate import ROCrate

    crate = ROCrate()
    _describe(crate, results, results.attrs["run"], names)
    for entity in _files(crate, files, names):
        crate.add(entity)
    with replacing(path) as part:
        part.write_text(json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False), encoding="utf-8")


def _describe(crate: ROCrate, results: pd.DataFrame, run: Mapping[str, Any], names: Pseudonyms | None) -> None:
    outcomes = results["outcome"].value_counts()
    crate.name = f"Images retrieved by dicomove, run {run['run']}"
    crate.description = (
        f"{len(results)} rows of a cohort were asked for with C-MOVE or C-GET: "
        f"{', '.join(f'{number} {word}' for word, number in outcomes.items())}."
    )
    software = [
        _entity(crate, f"#{name}", "SoftwareApplication", {"name": name, "softwareVersion": str(version)})
        for name, version in run["versions"].items()
    ]
    sha256 = str(run["cohort_sha256"])
    hashed = {"SHA-256": sha256} if names is None else {"keyed SHA-256": names.cohort(sha256)}
    cohort = _entity(
        crate,
        _COHORT,
        "CreativeWork",
        {"name": "The rows that were asked for", "identifier": _values(crate, _COHORT, hashed)},
    )
    pacs = _entity(crate, _PACS, "Service", {"name": str(run["pacs"]), "serviceType": "DICOM Query/Retrieve"})
    titles = {"destination": run["destination"], "calling AE title": run["calling_ae_title"]}
    action = {
        "name": f"Run {run['run']}",
        "startTime": run["started_at"],
        "endTime": run["ended_at"],
        "actionStatus": {"@id": _FAILED if run["interrupted"] or run["ended_at"] is None else _COMPLETED},
        "instrument": software,
        "object": [cohort, pacs],
        "result": crate.root_dataset,
        "additionalProperty": _values(crate, _RUN, {**titles, **shown_options(run["options"])}),
    }
    crate.root_dataset["mentions"] = _entity(crate, _RUN, "CreateAction", action)
    crate.root_dataset["variableMeasured"] = _values(
        crate, "#rows", {str(word): int(number) for word, number in outcomes.items()}
    )


def _files(crate: ROCrate, files: pd.DataFrame, names: Pseudonyms | None) -> Iterator[Any]:
    from rocrate.model import File

    kept = files[files["quarantine"].isna()]
    for path, size, sha256, *uids in kept[["path", "bytes", "sha256", *_UIDS]].itertuples(index=False):
        place = path if names is None else f"{'/'.join(names.uid(str(uid)) for uid in uids)}.dcm"
        properties = {"encodingFormat": "application/dicom", "contentSize": str(size), "sha256": sha256}
        yield File(crate, None, place, properties=properties)


def _entity(crate: ROCrate, place: str, kind: str, properties: Mapping[str, object]) -> Any:
    from rocrate.model.contextentity import ContextEntity

    made = crate.add(ContextEntity(crate, place, properties={"@type": kind}))
    for name, value in properties.items():
        if value is not None:
            made[name] = value
    return made


def _values(crate: ROCrate, of: str, values: Mapping[str, object]) -> list[Any]:
    """Return an entity for each named value, because RO-Crate does not nest values."""
    return [
        _entity(crate, f"{of}-{name.replace(' ', '-')}", "PropertyValue", {"name": name, "value": value})
        for name, value in values.items()
    ]
