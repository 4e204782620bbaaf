"""What the PACS's administrator must enter, so that a C-MOVE finds the receiver."""

from __future__ import annotations

import json
import socket


def own_address(host: str) -> str:
    """Return an address of this machine that others can reach, where the receiver listens on all of them."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 (it asks whether it is that)
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: the system only looks up its way there
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def orthanc_modality(ae_title: str, host: str, port: int) -> str:
    """Return the entry of ``DicomModalities`` in Orthanc's configuration, as JSON."""
    return json.dumps({ae_title: {"AET": ae_title, "Host": own_address(host), "Port": port}}, indent=2)


def dcmtk_host(ae_title: str, host: str, port: int) -> str:
    """Return the entry of ``HostTable`` in dcmqrscp's configuration."""
    return f"{ae_title.lower()} = ({ae_title}, {own_address(host)}, {port})"


def dcm4chee_device(ae_title: str, host: str, port: int) -> str:
    """Return the device that dcm4chee-arc is told of, as JSON for ``POST /dcm4chee-arc/devices/{name}``."""
    connection = {"cn": "dicom", "dicomHostname": own_address(host), "dicomPort": port}
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
        "dicomNetworkConnection": [connection],
        "dicomNetworkAE": [entity],
    }
    return json.dumps(device, indent=2)
