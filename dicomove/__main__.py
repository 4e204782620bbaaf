"""``python -m dicomove``: the commands of the shell."""

from __future__ import annotations

import sys

from dicomove.cli import main

sys.exit(main())
