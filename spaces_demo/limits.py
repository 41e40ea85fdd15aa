"""What the demo accepts, and what it says to everything else.

The page's controls have limits of their own, but a request need not come from the page: every value is checked here
again. Messages name the control, what is wrong and the remedy, and never repeat what was sent, because the page shows
messages as HTML.
"""

from __future__ import annotations

import re
from typing import Any

import gradio as gr

TEXT = 2_000  # characters of a text of several sentences
SENTENCE = 300  # characters of a text that is read as one sentence
SENTENCES = 8  # of a text; each is encoded by itself
FILE = 1_000_000  # bytes of an uploaded file, characters of pasted rows
COLUMNS = 50
ROWS = 100
ROW_TEXTS = 20_000  # characters of all rows together
CLASSES = 20
GROWN = 200  # generated rows
BODY = 2 * FILE  # bytes of any request
LAST_SEED = 2**31 - 1
SURROGATE = re.compile("[\ud800-\udfff]")
CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")  # but for tabs and line ends


def refuse(message: str) -> gr.Error:
    """The error to raise for a request that its sender can mend."""
    return gr.Error(message, title="Please mend", print_exception=False)


def text(value: Any, name: str, limit: int = TEXT) -> str:
    """`value` without spaces around it, if it is text of `limit` characters at most with something to read in it."""
    if not isinstance(value, str) or not value.strip():
        raise refuse(f"{name} is empty: fill it in.")
    if len(value) > limit:
        raise refuse(f"{name} has {len(value):,} characters: shorten it to {limit:,}.")
    clean = plain(value, name).strip()
    if not any(character.isprintable() and not character.isspace() for character in clean):
        raise refuse(f"{name} has nothing but invisible characters: write words.")
    return clean


def plain(value: str, name: str) -> str:
    """`value` if it can be written as UTF-8 and holds no control characters but tabs and line ends."""
    if SURROGATE.search(value):
        raise refuse(f"{name}: half a character is in it (a lone surrogate). Copy the text again.")
    if CONTROL.search(value):
        raise refuse(f"{name}: control characters such as NUL are in it. Give plain text.")
    return value


def number(value: Any, name: str, low: float, high: float) -> float:
    """`value` if it is a number from `low` to `high`."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not low <= value <= high:  # NaN is neither
        raise refuse(f"{name} must be a number from {low:g} to {high:g}.")
    return float(value)


def whole(value: Any, name: str, low: int, high: int) -> int:
    """`value` if it is a whole number from `low` to `high`."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not low <= value <= high or value != int(value):
        raise refuse(f"{name} must be a whole number from {low:,} to {high:,}.")
    return int(value)


def seed(value: Any) -> int:
    """`value` if it can seed a generator."""
    return whole(value, "Seed", 0, LAST_SEED)


class BodyLimit:
    """ASGI middleware: a request is refused by its length before anything reads it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] in ("POST", "PUT", "PATCH"):
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit() or int(length) > BODY:  # of unknown length is refused, too
                headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
                await send({"type": "http.response.start", "status": 413, "headers": headers})
                message = b'{"detail": "Requests may have %d bytes: send less."}' % BODY
                await send({"type": "http.response.body", "body": message})
                return
        await self.app(scope, receive, send)
