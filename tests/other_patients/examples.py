"""The number of random examples, and the faults that a PACS of these tests has."""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings, strategies as st

from dicomove.testing import faults
from dicomove.testing.faults.base import Fault
from dicomove.testing.faults.instances import Mislabels

#: The number of examples that the caller of pytest wants; 0 is the usual number, and always the same examples.
WANTED: Final = int(os.environ.get("DICOMOVE_OTHER_PATIENTS_EXAMPLES", "0"))
TIMEOUT_S: Final = 400 + 3 * WANTED

_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"seconds": 0.01},
    "late-cancel": {"seconds": 0.05},
    "pending-forever": {"interval_s": 0.02},
    "dies": {"back_after_s": 0.05},
}


def profile(examples: int) -> settings:
    """Return settings for the same examples each time, or for as many other ones as `WANTED`."""
    return settings(
        max_examples=WANTED or examples,
        derandomize=not WANTED,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )


@st.composite
def some_faults(draw: st.DrawFn) -> tuple[Fault, ...]:
    """Draw no faults in half of the examples, otherwise one or two; some affect only a part of the requests."""
    names = draw(st.just([]) | st.lists(st.sampled_from(sorted(faults.BY_NAME)), min_size=1, max_size=2, unique=True))
    if {*names} >= {"pending-forever", "no-pendings"}:
        names = ["pending-forever"]
    if (
        sum(issubclass(faults.BY_NAME[name], Mislabels) for name in names) > 1
    ):  # the second cannot read the data of the first
        names = names[:1]
    return tuple(
        faults.BY_NAME[name](**_ARGUMENTS.get(name, {}), probability=draw(st.sampled_from([1.0, 1.0, 0.5])))
        for name in names
    )
