"""The entry for the receiver that the administrator of a PACS makes: AE title, host and port."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

#: Hosts that stand for every address of this machine, each with the family of the route to a PACS, if it is known.
EVERY: Final = {
    "0.0.0.0": socket.AF_INET,  # noqa: S104 (this only compares)
    "": socket.AF_INET,
    "::": socket.AF_UNSPEC,
}
#: Docker and Podman make these files.
CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")
#: A documentation address (RFC 5737): the way there is the default route.
_FAR_AWAY: Final = "192.0.2.1"
_LOOK_UP_AGAIN_S: Final = 60.0
#: By host: when its addresses were looked up, and what they are.
_known: Final[dict[str, tuple[float, list[str]]]] = {}
_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
_ADVERTISED = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\[\]:@\s]+))(?::(?P<port>[0-9]+))?")


class Route(NamedTuple):
    """The route to a PACS.

    Attributes
    ----------
    own_address
        Our address on the route.
    is_direct
        Whether there is no router: the PACS is on this machine, or in the same network, like containers of one
        composition.
    """

    own_address: str
    is_direct: bool


def advertised(text: str) -> tuple[str, int | None]:
    """Return host and port of ``advertise=``; the port is ``None`` if only the host is given.

    Raises
    ------
    ValueError
        It is neither ``"host:port"`` nor a host.

    Examples
    --------
    >>> advertised("node7.hospital.example:30104")
    ('node7.hospital.example', 30104)
    >>> advertised("[2001:db8::7]")
    ('2001:db8::7', None)
    """
    match = _ADVERTISED.fullmatch(text.strip()) if isinstance(text, str) else None
    if not match or (match["port"] and not 1 <= int(match["port"]) <= 65535):
        message = (
            f"advertise={text!r}: write 'host:port' or 'host', IPv6 as '[2001:db8::7]:104': where the PACS connects"
        )
        raise ValueError(message)
    return match["ipv6"] or match["host"], int(match["port"]) if match["port"] else None


def own_address(host: str, pacs_host: str = "") -> str:
    """Return the address at which a PACS reaches the receiver.

    Parameters
    ----------
    host
        The address at which the receiver listens.
    pacs_host
        The PACS. If the receiver listens at all addresses, the one on the route to this PACS counts.
    """
    if host not in EVERY:
        return host
    found = (route(pacs_host, EVERY[host]) if pacs_host else None) or route(_FAR_AWAY, socket.AF_INET)
    return found.own_address if found else socket.gethostname()


def route(pacs_host: str, family: socket.AddressFamily = socket.AF_UNSPEC) -> Route | None:
    """Return the route to a PACS, if there is one. Nothing is sent: the system only looks it up."""
    return next(_routes(pacs_host, family), None)


def _routes(pacs_host: str, family: socket.AddressFamily) -> Iterator[Route]:
    with suppress(OSError, UnicodeError):
        for of, kind, protocol, _, address in socket.getaddrinfo(pacs_host, 9, family, socket.SOCK_DGRAM):
            with suppress(OSError), socket.socket(of, kind, protocol) as probe:
                probe.connect(address)
                own = str(probe.getsockname()[0])
                is_local = own == address[0] or own.startswith("127.")
                yield Route(own, is_local or (of == socket.AF_INET and _is_direct(str(address[0]))))


def _is_direct(address: str) -> bool:
    """Whether an IPv4 address is in a network of this machine; for IPv6, Linux does not tell this."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
        probe.connect((address, 9))
        return True
    return False


def addresses(host: str) -> list[str]:
    """Return the IP addresses of a host; none if it is unknown: then no C-MOVE can be sent either.

    They are looked up again after a minute, because a PACS may move. If that fails, the earlier ones count.
    """
    since, known = _known.get(host, (-math.inf, []))
    if time.monotonic() - since < _LOOK_UP_AGAIN_S:
        return known
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        found = []
    known = sorted({str(address[0]) for *_, address in found}) or known
    if known:
        _known[host] = time.monotonic(), known
    return known


def _container_warning(own: str) -> str | None:
    """Return why a PACS on another machine may not reach our address; ``None`` outside of a container."""
    signs = [*filter(os.path.exists, CONTAINER_FILES), *([_KUBERNETES] if _KUBERNETES in os.environ else [])]
    if not signs:
        return None
    return (
        f"this process runs in a container ({signs[0]}), and the PACS may not reach its address {own}: "
        "publish the port at the machine that runs the container, "
        "and give Receiver(..., advertise='host:port') with the address there"
    )


def reach_problem(pacs_host: str, host: str, *, is_known: bool) -> str | None:
    """Return why a PACS may not reach a receiver; ``None`` if no reason is known.

    Parameters
    ----------
    pacs_host, host
        The host of the PACS, and the address at which the receiver listens.
    is_known
        Whether the user has given the address for the PACS, or it listens at none.
    """
    way = route(pacs_host)
    if is_known or (way and way.is_direct):
        return None
    return _container_warning(own_address(host, pacs_host))


def orthanc_entry(ae_title: str, host: str, port: int) -> str:
    """Return the entry of ``DicomModalities`` in Orthanc's configuration, as JSON."""
    entry = {"AET": ae_title, "Host": host, "Port": port, "AllowTranscoding": False}
    return json.dumps({ae_title: entry}, indent=2)


def dcm4chee_entry(ae_title: str, host: str, port: int) -> str:
    """Return the device for dcm4chee-arc, as JSON."""
    storage = {"dicomSOPClass": "*", "dicomTransferRole": "SCP", "dicomTransferSyntax": ["*"]}
    entity = {
        "dicomAETitle": ae_title,
        "dicomAssociationInitiator": False,
        "dicomAssociationAcceptor": True,
        "dicomNetworkConnectionReference": ["/dicomNetworkConnection/0"],
        "dicomTransferCapability": [storage],
    }
    device = {
        "dicomDeviceName": ae_title.lower(),
        "dicomInstalled": True,
        "dicomNetworkConnection": [{"cn": "dicom", "dicomHostname": host, "dicomPort": port}],
        "dicomNetworkAE": [entity],
    }
    return json.dumps(device, indent=2)
