"""Contenders in turn, round by round: times that share a round are compared, and nothing else."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from dicomove import Pacs
from dicomove.testing.archive import Instance
from dicomove.testing.synthetic import synthetic_instances
from tests.servers import Orthanc, Store, orthanc, storescp, write

PERFORMANCE = Path(__file__).parents[1] / "docs" / "performance.md"


@dataclass(frozen=True)
class Peers:
    """What the contenders talk to, and what is there to be moved."""

    orthanc: Orthanc
    stores: Mapping[str, Store]
    instances: Sequence[Instance]

    @property
    def pacs(self) -> Pacs:
        return Pacs(f"ORTHANC@127.0.0.1:{self.orthanc.dicom_port}", calling_ae_title="BENCHMARK")

    @property
    def studies(self) -> list[str]:
        return list(dict.fromkeys(instance.study_instance_uid for instance in self.instances))

    def check(self, name: str) -> None:
        """Every instance has arrived at one of the stores; they are emptied for the next turn."""
        arrived = sum(store.received() for store in self.stores.values())
        require(arrived == len(self.instances), f"{name}: {arrived} of {len(self.instances)} files arrived")
        for store in self.stores.values():
            store.clear()


@contextmanager
def peers(destinations: Mapping[str, tuple[str, ...]], *, studies: int, instances: int, size: int) -> Iterator[Peers]:
    """Orthanc with synthetic studies, and a DCMTK storescp with these options for each destination."""
    with TemporaryDirectory(prefix="dicomove-benchmark-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        stores = {
            title: stack.enter_context(storescp(made(folder / title), title, ("+xa", *options)))
            for title, options in destinations.items()
        }
        held = list(synthetic_instances(studies=studies, instances=instances, size=size))
        images = made(folder / "images")
        write(held, images)
        ports = {title: store.port for title, store in stores.items()}
        server = stack.enter_context(orthanc(made(folder / "orthanc"), images, ports))
        shutil.rmtree(images)
        yield Peers(server, stores, held)


def require(condition: object, otherwise: object) -> None:
    """End the benchmark: what did not do its work has no time."""
    if not condition:
        raise SystemExit(str(otherwise))


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Times:
    """Seconds by contender, one for each round."""

    seconds: dict[str, list[float]]

    def per_item(self, name: str, items: int, form: str = "{:.1f}") -> str:
        return _spread([1000 * seconds / items for seconds in self.seconds[name]], form)

    def ratio(self, name: str, reference: str) -> str:
        pairs = zip(self.seconds[name], self.seconds[reference], strict=True)
        return _spread([mine / theirs for mine, theirs in pairs], "{:.2f}")


def rounds(contenders: Mapping[str, Callable[[], None]], repeats: int, after: Callable[[str], None]) -> Times:
    """Run all contenders `repeats` times, each round in another order; `after` checks what one has done.

    A round before the first is not counted: it warms up.
    """
    times = Times({name: [] for name in contenders})
    names = list(contenders)
    for number in range(repeats + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = time.perf_counter()
            contenders[name]()
            seconds = time.perf_counter() - started
            after(name)
            if number:
                times.seconds[name].append(seconds)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return times


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is text, and the others numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def publish(name: str, text: str) -> None:
    """Put a text between the two comments in docs/performance.md that have this name."""
    begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
    page = PERFORMANCE.read_text(encoding="utf-8")
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        message = f"{PERFORMANCE} has no place for {name}"
        raise SystemExit(message)
    PERFORMANCE.write_text(f"{head}{begin}{text}{end}{tail}", encoding="utf-8")


def machine() -> str:
    """The class of the machine, and the versions of what was measured."""
    orthanc_version = _first_line("Orthanc", "--version").split()[-1]
    dcmtk = _first_line("movescu", "--version").split()[2].removeprefix("v")
    return (
        f"{os.cpu_count()} cores, loopback, {platform.system()}; Python {platform.python_version()}, "
        f"pynetdicom {version('pynetdicom')}, DCMTK {dcmtk}, Orthanc {orthanc_version}"
    )


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _spread(values: Sequence[float], form: str) -> str:
    middle, least, most = (form.format(pick(values)) for pick in (statistics.median, min, max))
    return f"{middle} ({least} to {most})"
