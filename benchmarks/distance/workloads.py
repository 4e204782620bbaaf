"""What is moved over a distance: CT, many small studies, and a mixture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.receiving.pacs import Orthanc
from benchmarks.receiving.workloads import KIB, MIB, File, Held, Workload, store
from dicomove.dimse.data_sets import file_head
from dicomove.testing.synthetic import synthetic_instances

#: Instances in a study, and the size of each: CT, a report, an X-ray, ultrasound.
_MIXTURE = ((40, 512 * KIB), (2, 8 * KIB), (2, 8 * MIB), (10, 256 * KIB))
#: So many studies in a row are what the archive is, on a small scale.
STEPS = {"ct": 1, "small": 1, "mixed": len(_MIXTURE)}
KINDS = {
    "ct": Workload("ct", "studies of 40 CT images of 512 KiB", "instances", 100, 40, 512 * KIB),
    "small": Workload("small", "studies of 2 instances of 8 KiB", "instances", 600, 2, 8 * KIB),
    "mixed": Workload(
        "mixed",
        "one study each of 40 images of 512 KiB, 2 of 8 KiB, 2 of 8 MiB and 10 of 256 KiB, again and again",
        "instances",
        120,
    ),
}


def upload(server: Orthanc, kind: str, studies: int | None) -> Held:
    """Let Orthanc store an archive of a kind, and ask what it holds now."""
    workload = replace(KINDS[kind], studies=studies or KINDS[kind].studies)
    return store(server, workload, _files(workload))


def _files(workload: Workload) -> Iterator[tuple[str, File]]:
    shapes = _MIXTURE if workload.name == "mixed" else ((workload.instances, workload.size),)
    for number in range(workload.studies):
        instances, size = shapes[number % len(shapes)]
        seed = 100_000 * (1 + list(KINDS).index(workload.name)) + number
        for one in synthetic_instances(studies=1, instances=instances, size=size, seed=seed):
            data = file_head(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax) + one.read()
            yield one.study_instance_uid, (len(data), [data])
