"""`accelerate launch training quickstart` from a checkout trains the VAE.

It imports by the installed name only: under `training.…` every module would exist twice.
"""

from __future__ import annotations

import sys

from textvae.training.vae.train import main

sys.exit(main())
