"""`python -m textvae` is the same as `textvae`."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
