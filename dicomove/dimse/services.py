"""The SOP classes of the services: Verification and Query/Retrieve (PS3.4 A.4, C.6)."""

from __future__ import annotations

from typing import Final

VERIFICATION: Final = "1.2.840.10008.1.1"
FIND: Final = {"PatientRoot": "1.2.840.10008.5.1.4.1.2.1.1", "StudyRoot": "1.2.840.10008.5.1.4.1.2.2.1"}
MOVE: Final = {"PatientRoot": "1.2.840.10008.5.1.4.1.2.1.2", "StudyRoot": "1.2.840.10008.5.1.4.1.2.2.2"}
GET: Final = {"PatientRoot": "1.2.840.10008.5.1.4.1.2.1.3", "StudyRoot": "1.2.840.10008.5.1.4.1.2.2.3"}
SERVICES: Final = {
    VERIFICATION: "Verification",
    **{uid: f"{model} FIND" for model, uid in FIND.items()},
    **{uid: f"{model} MOVE" for model, uid in MOVE.items()},
}
