"""The servers that tests share: started once, when the first test asks for them."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.doctest import DoctestModule
from hypothesis import given, settings
from hypothesis.strategies import none

from dicomove import Pacs
from dicomove.dimse import opening
from dicomove.testing import RunningPacs, demo_pacs
from dicomove.testing.archive import Archive
from dicomove.testing.associations import Listener
from dicomove.testing.images import real_images
from dicomove.testing.synthetic import synthetic_instances
from tests import distribution, forks, servers
from tests.servers import Gate, Here, Server, Store

# It needs mutmut, which is not among the requirements of the tests.
# To collect the other system would be to become it.
collect_ignore = ["mutation.py", "other_system"]

if TYPE_CHECKING:
    from xdist.remote import Producer

# How fast an example is says more about the machine than about us. The examples are the same each time, so that a test
# that fails fails for what was changed; `--hypothesis-profile=random` looks for others.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("same")

# jsonschema, which nbformat imports, would load 38 grammars of IRIs, which no notebook has: 3 s in every process.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None stops an import

# Modules and tests stay until the end, so the garbage collector has nothing to find in them.
gc.disable()

# A shell that starts the tests in the background has interrupts ignored, by them and by all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

forks.use()

#: The study that takes long enough to be cancelled.
LONG = next(synthetic_instances(studies=1, instances=1)).study_instance_uid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> distribution.ByFileAndGroup | None:
    if config.getoption("dist") != "loadgroup":
        return None
    # Else the files with the most tests would begin, and these are the quick ones.
    config.option.loadscopereorder = False
    return distribution.ByFileAndGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for examples in modules of the tests that have some: each process would look at ten thousand functions."""
    made = yield
    if file_path.suffix != ".py" or ">>>" in file_path.read_text(encoding="utf-8"):
        return made
    return [one for one in made if not isinstance(one, DoctestModule)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: distribution.rank(item.nodeid))


def pytest_runtest_setup() -> None:
    # The system may give a test the port that another server had a minute ago.
    opening._WITHOUT_TLS.clear()


def pytest_collection_finish() -> None:
    # Hypothesis asks the garbage collector what refers to its random numbers. A frozen object is not found: the first
    # example has to come before.
    settings(max_examples=1, database=None)(given(none())(lambda _: None))()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    forks.end()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real images, and one study of 60 small synthetic ones."""
    folder = real_images(tmp_path_factory.mktemp("images"))
    servers.write(synthetic_instances(studies=1, instances=60, size=8192), folder / "synthetic")
    return folder


@pytest.fixture(scope="session")
def session_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with servers.storescp(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="session")
def session_ct_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("ct_store")
    with servers.storescp(folder, servers.CT_ONLY, servers.ct_only(folder)) as store:
        yield store


@pytest.fixture
def store(session_store: Store) -> Store:
    """DCMTK's storescp, empty."""
    session_store.clear()
    return session_store


@pytest.fixture
def ct_store(session_ct_store: Store) -> Store:
    """A storescp that accepts CT images only, empty."""
    session_ct_store.clear()
    return session_ct_store


@pytest.fixture(scope="session")
def gate_port() -> Iterator[tuple[Gate, int]]:
    gate = Gate()
    with Listener(gate) as listener:
        yield gate, listener.port


@pytest.fixture
def gate(gate_port: tuple[Gate, int]) -> Iterator[Gate]:
    """A storage that holds what it gets until it is told."""
    yield gate_port[0]
    gate_port[0].close()


@pytest.fixture(scope="session")
def destinations(
    session_store: Store, session_ct_store: Store, gate_port: tuple[Gate, int]
) -> Iterator[Mapping[str, int]]:
    """Every destination that the servers know: AE title -> port."""
    with servers.dead_port() as down:
        yield {
            servers.DESTINATION: session_store.port,
            servers.CT_ONLY: session_ct_store.port,
            servers.GATE: gate_port[1],
            servers.DOWN: down,
        }


@pytest.fixture(scope="session")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, images: Path, destinations: Mapping[str, int]
) -> Iterator[Server]:
    with servers.orthanc(tmp_path_factory.mktemp("orthanc"), images, destinations) as server:
        pacs = Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}", calling_ae_title="MY_SCU")
        yield Server("orthanc", pacs, tuple(servers.held(images)))


@pytest.fixture(scope="session")
def dcmqrscp(
    tmp_path_factory: pytest.TempPathFactory, images: Path, destinations: Mapping[str, int]
) -> Iterator[Server]:
    with servers.dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), images, destinations) as port:
        plain = tuple(one for one in servers.held(images) if one.transfer_syntax in servers.UNCOMPRESSED)
        yield Server("dcmqrscp", Pacs(f"DCMQRSCP@127.0.0.1:{port}", calling_ae_title="MY_SCU"), plain)


@pytest.fixture(scope="session")
def demo(images: Path, destinations: Mapping[str, int]) -> Iterator[RunningPacs]:
    """The embedded PACS, in its process."""
    with demo_pacs(images, destinations={name: ("127.0.0.1", port) for name, port in destinations.items()}) as pacs:
        yield pacs


@pytest.fixture(scope="session")
def embedded(demo: RunningPacs, images: Path) -> Server:
    return Server("embedded", demo, tuple(servers.held(images)))


@pytest.fixture(scope="session")
def archive(images: Path) -> Archive:
    """All images, for a PACS in the test's own process."""
    return Archive.from_folder(images)


@pytest.fixture
def here(archive: Archive) -> Iterator[Here]:
    """A PACS in the test's own process, that remembers what it was asked."""
    with servers.here(archive) as made:
        yield made


@pytest.fixture(params=["orthanc", "dcmqrscp", "embedded"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the three PACS in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Server)
    return found
