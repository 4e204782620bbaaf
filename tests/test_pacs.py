from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, strategies as st

import dicomove as dm
from dicomove import Pacs, Receiver
from dicomove.errors import AddressError
from dicomove.pacs import ae_title, check_pacs

ADDRESS = "ORTHANC@127.0.0.1:4242"


@pytest.mark.parametrize(
    ("address", "called", "host", "port", "written"),
    [
        ("ORTHANC@127.0.0.1:4242", "ORTHANC", "127.0.0.1", 4242, "ORTHANC@127.0.0.1:4242"),
        ("127.0.0.1:4242", "ANY-SCP", "127.0.0.1", 4242, "ANY-SCP@127.0.0.1:4242"),
        ("pacs.hospital.org:11112", "ANY-SCP", "pacs.hospital.org", 11112, "ANY-SCP@pacs.hospital.org:11112"),
        ("PACS@[::1]:104", "PACS", "::1", 104, "PACS@[::1]:104"),
        ("[fe80::1%eth0]:104", "ANY-SCP", "fe80::1%eth0", 104, "ANY-SCP@[fe80::1%eth0]:104"),
        ("PACS@[10.0.0.1]:104", "PACS", "10.0.0.1", 104, "PACS@10.0.0.1:104"),
        (" PACS@host:104\n", "PACS", "host", 104, "PACS@host:104"),
        ("  MAIN PACS  @host:104", "MAIN PACS", "host", 104, "MAIN PACS@host:104"),
        ("P@CS@host:104", "P@CS", "host", 104, "P@CS@host:104"),
        ("PACS@host:1", "PACS", "host", 1, "PACS@host:1"),
        ("PACS@host:65535", "PACS", "host", 65535, "PACS@host:65535"),
        ("PACS@host:0104", "PACS", "host", 104, "PACS@host:104"),
    ],
)
def test_an_address(address: str, called: str, host: str, port: int, written: str) -> None:
    pacs = Pacs(address)
    assert (pacs.called_ae_title, pacs.host, pacs.port, pacs.address) == (called, host, port, written)
    assert str(pacs) == written
    assert Pacs(written) == pacs


@pytest.mark.parametrize(
    "address",
    [
        *["", "host", "host:", ":104", "PACS@", "PACS@host", "host:104:105", "host:port", "host:-1", "host:1.5"],
        *["host:0", "host:65536", "host:99999999999999999999", "::1:104", "[::1]", "[::1]104", "[]:104", "a b:104"],
        *[
            "http://host:104",
            "@host:104",
            "  @host:104",
            "SEVENTEEN_LETTERS@host:104",
            "PA\\CS@host:104",
            "PÄCS@host:104",
        ],
        *["host:१०४", None, 104, b"host:104", ("host", 104)],
    ],
)
def test_no_address(address: Any) -> None:
    with pytest.raises(AddressError) as raised:
        Pacs(address)
    assert isinstance(raised.value, ValueError)
    assert "/home" not in str(raised.value)


@pytest.mark.parametrize("name", ["called_ae_title", "calling_ae_title"])
@pytest.mark.parametrize(
    ("title", "normalised"),
    [("MY_SCU", "MY_SCU"), (" MY SCU ", "MY SCU"), ("X" * 16, "X" * 16), (" " + "X" * 16, "X" * 16), ("[~!]", "[~!]")],
)
def test_an_ae_title(name: str, title: str, normalised: str) -> None:
    assert getattr(Pacs("host:104", **{name: title}), name) == normalised  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["called_ae_title", "calling_ae_title"])
@pytest.mark.parametrize(
    ("title", "problem"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("X" * 17, "has 17 characters"),
        ("A\\B", "has a character"),
        ("A\tB", "has a character"),
        ("A\nB", "has a character"),
        ("AB\n", "has a character"),
        ("A\0", "has a character"),
        ("\x7f", "has a character"),
        ("ÄRZTE", "has a character"),
        (None, "give an AE title as text, not NoneType"),
        (7, "give an AE title as text, not int"),
        (b"PACS", "give an AE title as text, not bytes"),
    ],
)
def test_no_ae_title(name: str, title: Any, problem: str) -> None:
    with pytest.raises(AddressError, match=problem) as raised:
        Pacs("host:104", **{name: title})
    assert name in str(raised.value)


@given(st.text(max_size=20))
def test_an_ae_title_is_sixteen_printable_characters_or_an_error(title: str) -> None:
    allowed = {chr(code) for code in range(0x20, 0x7F)} - {"\\"}
    plain = title.strip(" ")
    if 1 <= len(plain) <= 16 and set(plain) <= allowed:
        assert ae_title(title, "destination") == plain
    else:
        with pytest.raises(AddressError, match=r"^destination "):
            ae_title(title, "destination")


def test_the_called_ae_title_is_said_once() -> None:
    assert Pacs("host:104", called_ae_title="PACS") == Pacs("PACS@host:104")
    assert Pacs("PACS@host:104", called_ae_title="PACS") == Pacs("PACS@host:104")
    with pytest.raises(AddressError, match="two different AE titles"):
        Pacs("PACS@host:104", called_ae_title="OTHER")


def test_spaces_around_a_title_that_is_said_twice_mean_nothing() -> None:
    assert Pacs("PACS@host:104", called_ae_title="PACS ") == Pacs("PACS@host:104")


TIMEOUTS = ["connect_timeout", "association_timeout", "idle_timeout", "first_response_timeout"]


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("seconds", [0.001, 1, 3600.0, None])
def test_a_timeout(name: str, seconds: float | None) -> None:
    assert getattr(Pacs("host:104", **{name: seconds}), name) == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 10**400, "30", "auto ", True, [30]])
def test_no_timeout(name: str, seconds: Any) -> None:
    with pytest.raises(AddressError, match=name):
        Pacs("host:104", **{name: seconds})


@pytest.mark.parametrize(("idle", "first"), [(120, 600), (2.5, 12.5), (None, None)])
def test_the_first_response_may_take_longer(idle: float | None, first: float | None) -> None:
    assert Pacs("host:104", idle_timeout=idle).first_response_timeout == first
    assert Pacs("host:104", idle_timeout=idle, first_response_timeout=7).first_response_timeout == 7


def test_the_defaults() -> None:
    pacs = Pacs("host:104")
    assert pacs.calling_ae_title == "DICOMOVE"
    assert pacs.max_pdu_length == 131072
    assert [getattr(pacs, name) for name in TIMEOUTS] == [10, 30, 120, 600]


@pytest.mark.parametrize("length", [0, 128, 16384, 2**32 - 1])
def test_a_pdu_length(length: int) -> None:
    assert Pacs("host:104", max_pdu_length=length).max_pdu_length == length


@pytest.mark.parametrize(
    "length", [-1, 1, 127, 2**32, 16384.5, float("inf"), float("nan"), None, "16384", True, [16384]]
)
def test_no_pdu_length(length: Any) -> None:
    with pytest.raises(AddressError, match="max_pdu_length"):
        Pacs("host:104", max_pdu_length=length)


def test_the_repr_is_how_it_is_made() -> None:
    pacs = Pacs(ADDRESS, calling_ae_title="MY_SCU")
    assert repr(pacs) == "Pacs('ORTHANC@127.0.0.1:4242', calling_ae_title='MY_SCU')"
    assert eval(repr(pacs), {"Pacs": Pacs}) == pacs  # noqa: S307 (our own repr)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Pacs) if field.name != "_"])
def test_it_is_frozen(name: str) -> None:
    pacs = Pacs(ADDRESS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(pacs, name, "other")


def test_it_is_a_value() -> None:
    pacs = Pacs(ADDRESS, idle_timeout=7)
    assert pacs == Pacs("127.0.0.1:4242", called_ae_title="ORTHANC ", idle_timeout=7.0)
    assert pacs != Pacs(ADDRESS, idle_timeout=8)
    assert len({pacs, Pacs(ADDRESS, idle_timeout=7), Pacs(ADDRESS)}) == 2
    copy = pickle.loads(pickle.dumps(pacs))  # noqa: S301 (what was pickled a moment ago)
    assert (copy, copy.host, copy.port) == (pacs, pacs.host, pacs.port)


def test_it_can_be_replaced_in_part() -> None:
    pacs = Pacs(ADDRESS, calling_ae_title="MY_SCU", idle_timeout=7)
    other = dataclasses.replace(pacs, idle_timeout=9)
    assert (other.address, other.calling_ae_title, other.idle_timeout) == (ADDRESS, "MY_SCU", 9)


def test_everything_but_the_address_has_a_name() -> None:
    with pytest.raises(TypeError):
        Pacs(ADDRESS, "MY_SCU")  # type: ignore[call-arg]


SESAME = "open-sesame"
STUDIES = pd.DataFrame({"StudyInstanceUID": ["1.2.3"]})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pacs("PACS@127.0.0.1:104", user=("research", SESAME)),  # type: ignore[arg-type]
        lambda: Pacs("PACS@127.0.0.1:104", user={"name": "research", "passcode": SESAME}),  # type: ignore[arg-type]
        lambda: Pacs("PACS@127.0.0.1:104", tls={"key": "ours.pem", "password": SESAME}),  # type: ignore[arg-type]
        lambda: Pacs(f"research:{SESAME}@127.0.0.1:104"),
        lambda: Pacs(f"research:{SESAME}@127.0.0.1:99999"),
        lambda: Pacs("me:sesame@127.0.0.1:104"),  # as short as an AE title may be
        lambda: Pacs(f"research:\n{SESAME}@127.0.0.1:104"),
        lambda: Pacs(f"dicom://research:{SESAME}@127.0.0.1/pacs"),
        lambda: check_pacs(f"research:{SESAME}@127.0.0.1:104"),
        lambda: Receiver("never", tls={"password": SESAME}),  # type: ignore[arg-type]
    ],
)
def test_no_secret_stands_in_a_message(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"^(?!.*sesame)"):
        make()


@pytest.mark.parametrize("instead", ["MAIN@127.0.0.1:104", "main", ("MAIN", "127.0.0.1", 104), None])
@pytest.mark.parametrize(
    "use",
    [
        dm.echo,
        lambda pacs: dm.find(STUDIES, pacs, progress=False),
        lambda pacs: dm.move(STUDIES, pacs, "STORE", progress=False),
        lambda pacs: dm.retrieve(STUDIES, pacs, "STORE", progress=False),
        lambda pacs: dm.plan(STUDIES, pacs, "STORE", progress=False),
        dm.doctor,
        dm.MoveScu,
        dm.GetScu,
        dm.FindScu,
    ],
)
def test_an_argument_that_is_not_a_pacs_is_refused_with_the_remedy(
    use: Callable[[Any], object], instead: object
) -> None:
    with pytest.raises(AddressError, match=r"pacs: give a Pacs, not (str|tuple|NoneType): Pacs\('AET@host:port'\)"):
        use(instead)
