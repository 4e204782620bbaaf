"""The peers that a receiver turned away, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from dicomove.outcome import Refusal

REFUSED_COLUMNS: Final = ("address", "ae_title", "reason", "count")


def refused_table(refusals: Mapping[Refusal, int]) -> pd.DataFrame:
    """Return one row for each peer and reason.

    Examples
    --------
    >>> refused_table({Refusal("10.0.0.7", "PACS", "ae_title", "it called OLD"): 2}).to_dict("records")
    [{'address': '10.0.0.7', 'ae_title': 'PACS', 'reason': 'it called OLD', 'count': 2}]
    """
    rows = [(one.address, one.ae_title or None, one.reason, count) for one, count in refusals.items()]
    return pd.DataFrame(rows, columns=list(REFUSED_COLUMNS)).astype({"count": "int64"})
