"""`textvae publish` to a Hub on this machine."""

from __future__ import annotations

from processes import textvae


def publish(hub, run, mirror, cwd, *options):
    arguments = ["publish", run, "--namespace", "org", *options]
    return textvae(arguments, cwd, TEXTVAE_MIRROR=mirror, **hub.environment)
