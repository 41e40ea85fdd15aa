"""Sentences of a text: splitting, cutting to the model's length, and the capitals of a source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

MAX_SENTENCES = 24  # of a row; with some 20 tokens each this fills the 512 that common encoders read

# One run of end marks with the quotes and brackets that close after it; wide (CJK) marks need no space after
# them; a gap with two line ends is a paragraph. Possessive throughout: a megabyte of dots stays linear.
_BOUNDARY = re.compile(
    r"""(?<![.!?…])(?P<mark>[.!?…]++)(?P<close>["'\u201d\u2019»)\]*]*+)(?P<space>\s++|(?=[A-Z][a-z]))"""
    r"""|(?P<wide>[。\uff01\uff1f｡]++[」』\u201d\u2019\uff09"]*+)|(?P<gap>(?<!\s)\s{2,}+)"""
)
_WORD_BEFORE = re.compile(r"[^\W\d_]+\Z")
_WORD_AFTER = re.compile(r"""["'\u201c\u2018«(\[*¿¡]{0,3}(\w?)""")
_CAPITAL = re.compile("[A-Z]")
_LIST_NUMBER = re.compile(r"\W*\d{1,3}[.)]\W*")
_ABBREVIATIONS = re.compile(
    "mr|mrs|ms|dr|prof|st|sr|jr|messrs|mme|mlle|gen|col|lt|sgt|capt|cmdr|rev|hon|gov|sen|rep|pres|mt|ft|inc|ltd|co"
    "|corp|dept|vs|eg|ie|cf|al|approx|dir|eds?|vol|pp|fig|ca|min|max|[a-hj-z]"  # an initial; I is a word
)


def split_sentences(text: str) -> list[str]:
    """Sentences of ordinary prose, in order; every character that is not white space stays in one of them.

    A full stop ends nothing after an abbreviation or an initial, nor before a lower-case letter unless the
    whole text is written without capitals; a missing space ("film.The") is forgiven. Pieces without letters
    ("10/10.", "***") join the sentence before, list numbers the one after.
    """
    uncased = len(_CAPITAL.findall(text)) * 200 < len(text)
    pieces, start = [], 0
    for match in _BOUNDARY.finditer(text):
        if _ends_sentence(text, match, uncased):
            pieces.append(text[start : match.end()].strip())
            start = match.end()
    pieces.append(text[start:].strip())

    sentences: list[list[str]] = []
    held: list[str] = []  # waits for the next sentence with letters
    for piece in filter(None, pieces):
        if any(map(str.isalpha, piece)):
            sentences.append([*held, piece])
            held = []
        elif held or not sentences or _LIST_NUMBER.fullmatch(piece):
            held.append(piece)
        else:
            sentences[-1].append(piece)
    if held:
        sentences.append(held)
    return [" ".join(parts) for parts in sentences]


def _ends_sentence(text: str, match: re.Match[str], uncased: bool) -> bool:
    if match["wide"]:
        return True
    space = match["gap"] or match["space"]
    if space.count("\n") > 1:
        return True
    if match["gap"]:
        return False
    mark = match["mark"]
    if not space:
        return text[max(0, match.start() - 2) : match.start()].islower()
    following = _WORD_AFTER.match(text, match.end())
    after = following[1] if following else ""
    if mark == ".":
        word = _WORD_BEFORE.search(text, max(0, match.start() - 12), match.start())
        before = word[0].lower() if word else ""
        if _ABBREVIATIONS.fullmatch(before):
            return False
        if before == "no" and after.isdigit():
            return False
    if after.islower():
        return not match["close"] if mark[0] in "!?" else uncased and len(mark) == 1 and mark == "."
    return True


def fit_sentences(texts: Sequence[str], tokenizer: Any, max_length: int) -> list[list[str]]:
    """Sentences of each text, at most MAX_SENTENCES of them, none longer than `max_length` tokens.

    A longer sentence is cut at the clause boundary (else the space) nearest to its middle until its parts
    fit; one without a space is left to the encoder's truncation.
    """
    rows = [split_sentences(text)[:MAX_SENTENCES] for text in texts]
    parts = iter(_shorten([sentence for row in rows for sentence in row], tokenizer, max_length))
    return [[part for _ in row for part in next(parts)][:MAX_SENTENCES] for row in rows]


def _shorten(sentences: list[str], tokenizer: Any, max_length: int) -> list[list[str]]:
    if not sentences:
        return []
    ids = tokenizer(sentences, truncation=True, max_length=max_length + 1)["input_ids"]
    cuts = [_middle(s) if len(i) > max_length else 0 for s, i in zip(sentences, ids, strict=True)]
    halves = [half for s, cut in zip(sentences, cuts, strict=True) if cut for half in (s[:cut], s[cut:])]
    parts = iter(_shorten([half.strip() for half in halves], tokenizer, max_length))
    return [next(parts) + next(parts) if cut else [sentence] for sentence, cut in zip(sentences, cuts, strict=True)]


_CLAUSE = re.compile(
    r"[,;:)\u2014\u2013]\s+|\s+-+\s+|\s(?=(?:and|but|or|because|which|who|that|when|while|although|though|so|if)\s)"
)


def _middle(sentence: str) -> int:
    """Where to cut a sentence in two, 0 for nowhere."""
    middle = len(sentence) / 2
    for pattern, reach in ((_CLAUSE, middle / 2), (re.compile(r"\s+"), middle)):
        ends = [m.end() for m in pattern.finditer(sentence) if abs(m.end() - middle) <= reach]
        if ends:
            return min(ends, key=lambda end: abs(end - middle))
    return 0


_LETTERS = re.compile(r"[^\W\d_]+")


def match_case(text: str, source: str) -> str:
    """Give `text`, written by an uncased model, the capitals that its source sentence has.

    The first letter follows the source's; words that the source writes only with capitals (names, I, TV)
    get them back.
    """
    words = _LETTERS.findall(source)
    if not words or text != text.lower():
        return text
    lower = {word for word in words if word.islower()}
    forms = {
        word.lower(): word
        for place, word in enumerate(words)
        if word.isupper() or (place and len(word) > 3 and not word.islower())
    }
    text = _LETTERS.sub(lambda match: match[0] if match[0] in lower else forms.get(match[0], match[0]), text)
    first = _LETTERS.search(text)
    if first and words[0][0].isupper():
        start, letter = first.start(), first[0][0]
        if letter.upper().lower() == letter:  # not so for a few, such as ŉ
            text = text[:start] + letter.upper() + text[start + 1 :]
    return text
