"""What a text is once cleaned, when two texts are the same one, and the role a text has in a study.

The hash of a text's normalised form decides its role for ever: no file of ids has to be kept, and a text
that stands twice in a dataset has one role.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Literal

import regex

Role = Literal["study", "development", "unlabelled"]

_LINE_BREAKS = re.compile(r"(?:<br\s*/?>\s*)+", re.IGNORECASE)
# Brackets as the Penn treebank writes them, and with it SST-2.
_BRACKET_NAMES = re.compile("-([lr][rsc]b)-", re.IGNORECASE)
_BRACKETS = {"lrb": "(", "rrb": ")", "lsb": "[", "rsb": "]", "lcb": "{", "rcb": "}"}
_C1_CONTROLS = re.compile("[\x80-\x9f]")
_NOT_LETTER_OR_DIGIT = re.compile(r"[\W_]+")
# Scripts that put no space between words: each character, with its marks, counts as one.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_WORD = regex.compile(rf"{_UNSPACED}\p{{M}}*|(?:(?!{_UNSPACED})[\p{{L}}\p{{M}}\p{{N}}_])+")


def clean(text: str) -> str:
    """Line-break tags become spaces, C1 controls the cp1252 characters they were, a treebank's names of brackets these;
    whitespace is collapsed."""
    # First of all, because Python counts U+0085, a lost ellipsis, as whitespace.
    text = _C1_CONTROLS.sub(lambda match: match[0].encode("latin-1").decode("cp1252", "ignore"), text)
    text = _LINE_BREAKS.sub(" ", text)
    text = _BRACKET_NAMES.sub(lambda match: _BRACKETS[match[1].lower()], text)
    return " ".join(text.split())


def normalise(text: str) -> str:
    """Lower-case letters and digits without anything between them: the identity of a text."""
    return _NOT_LETTER_OR_DIGIT.sub("", unicodedata.normalize("NFC", text.lower()))


def words_of(text: str) -> list[str]:
    """Its words in lower case, whatever the script."""
    return _WORD.findall(unicodedata.normalize("NFC", text.lower()))


def split_share(text: str) -> float:
    """A number in [0, 1), uniform over texts and the same for the same text for ever."""
    digest = hashlib.sha1(normalise(clean(text)).encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def role(text: str) -> Role:
    """Who may see a training text: 45 % *study*, 10 % *development*, 45 % *unlabelled*."""
    share = split_share(text)
    return "study" if share < 0.45 else "development" if share < 0.55 else "unlabelled"
