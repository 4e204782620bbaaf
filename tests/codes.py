"""The statuses and the rejections of the standard."""

from __future__ import annotations

from typing import Final

#: The final statuses that a C-MOVE can have, and some that it cannot (PS3.4 C.4.2.1.5, PS3.7 Annex C).
STATUSES: Final = {
    0x0000: "Success, without counts",
    0x0001: "Warning: requested optional attributes are not supported",
    0x0105: "No such attribute",
    0x0106: "Invalid attribute value",
    0x0107: "Warning: attribute list error",
    0x0110: "Processing failure",
    0x0111: "Duplicate SOP instance",
    0x0112: "No such object instance",
    0x0115: "Invalid argument value",
    0x0116: "Warning: attribute value out of range",
    0x0117: "Invalid object instance",
    0x0118: "No such SOP class",
    0x0119: "Class-instance conflict",
    0x0120: "Missing attribute",
    0x0121: "Missing attribute value",
    0x0122: "Refused: SOP class not supported",
    0x0124: "Refused: not authorized",
    0x0210: "Duplicate invocation",
    0x0211: "Unrecognized operation",
    0x0212: "Mistyped argument",
    0x0213: "Resource limitation",
    0xA700: "Out of resources",
    0xA701: "Out of resources: unable to calculate number of matches",
    0xA702: "Out of resources: unable to perform sub-operations",
    0xA801: "Move Destination unknown",
    0xA900: "Identifier does not match SOP class",
    0xAA00: "None of the frames requested were found in the SOP instance",
    0xAA01: "Unable to create new object for this SOP class",
    0xAA02: "Unable to extract frames",
    0xAA03: "Time-based request for a non-time-based original SOP instance",
    0xAA04: "Invalid request",
    0xB000: "Warning: sub-operations complete, one or more failures or warnings, without counts",
    0xC000: "Unable to process",
    0xC004: "Unable to process (Conquest: nothing found)",
    0xC801: "Unable to process (dcm4chee: destination not allowed)",
    0xCFFF: "Unable to process, the last status of this range",
    0xFE00: "Sub-operations terminated by a cancel, without a request to cancel",
    0x1234: "Not defined",
}

#: Result, source and reason of A-ASSOCIATE-RJ (PS3.8 Table 9-21).
REJECTIONS: Final = {
    (1, 1, 1): "permanent, service-user: no reason given",
    (1, 1, 2): "permanent, service-user: application context name not supported",
    (1, 1, 3): "permanent, service-user: calling AE title not recognized",
    (1, 1, 7): "permanent, service-user: called AE title not recognized",
    (1, 2, 1): "permanent, service-provider (ACSE): no reason given",
    (1, 2, 2): "permanent, service-provider (ACSE): protocol version not supported",
    (2, 3, 1): "transient, service-provider (presentation): temporary congestion",
    (2, 3, 2): "transient, service-provider (presentation): local limit exceeded",
}
