"""Finds the verbs of a sentence and what stands around each. Knows no boxes and no meaning.

There is no tagger: a word is a verb when its form, its neighbours and the lexicon allow it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .vocabulary import ADVERBS, BE, DETERMINERS, MODALS, NOUNS, PREPOSITIONS, Act, verb

__all__ = ["Clause", "clauses", "prepositions"]

TOKEN = re.compile(r"\x01\d+\x02|[^\W_]+(?:(?:[-/.'\u2019@+_=]|(?<=\d),(?=\d))\w+)*[%+]?|[,;:]|\S")
SPLIT = re.compile(
    r"(?:^|[\s,])(?:,?\s*(?:and|but|or|so|while|before|after|where|whereas|until|once)(?:\s+(?:then|finally"
    r"|subsequently|lastly))?"
    r"|,?\s*(?:which|that|who)|[,;:]\s*(?:then|finally|subsequently)?|then)(?=\s|$)\s*",
    re.IGNORECASE,
)
PREPOSITION = re.compile(
    r"(?:^|\s)(into|onto|to|from|by|with|using|via|through|in|on|between|among|as|for|at|over|against|of)\s+"
)
REASON = re.compile(r",?\s(?:because|since|although|unless|whenever|even though|so that)\s", re.IGNORECASE)
EDGE_WORDS = re.compile(r"^(?:then|finally|also|subsequently|next|it|jointly|directly|\w+ly)\s*$", re.IGNORECASE)


@dataclass
class Clause:
    """One verb: its subject's words (empty where it shares the one before), and the words after it."""

    lemma: str
    act: Act
    voice: Literal["active", "passive", "purpose", "copula"]
    subject: str
    rest: str
    said: str  # the verb as it stood
    link: str = ""  # the word that ties it to the clause before


@dataclass
class _Verb:
    start: int
    end: int
    lemma: str
    act: Act
    voice: Literal["active", "passive", "purpose", "copula"]


def clauses(text: str, *, imperative: bool = False) -> list[Clause]:
    """The clauses of a sentence in order; an imperative may begin with its verb."""
    tokens = TOKEN.findall(REASON.split(text)[0])
    verbs = _verbs(tokens, imperative)
    found: list[Clause] = []
    before = " ".join(tokens[: verbs[0].start]) if verbs else text
    link = ""
    for place, each in enumerate(verbs):
        end = verbs[place + 1].start if place + 1 < len(verbs) else len(tokens)
        gap = " ".join(tokens[each.end : end])
        rest, link_next, tail = gap, "", ""
        if place + 1 < len(verbs) and verbs[place + 1].voice != "purpose":
            rest, link_next, tail = _parted(gap)
        said = " ".join(tokens[each.start : each.end])
        found.append(Clause(each.lemma, each.act, each.voice, _clean(before), rest.strip(" ,;:"), said, link))
        before, link = tail, link_next
    return found


def prepositions(rest: str) -> tuple[str, list[tuple[str, str]]]:
    """The object's words, and each preposition with the words it governs; `of` stays where it is."""
    parts = [(match.start(), match.end(), match[1]) for match in PREPOSITION.finditer(rest) if match[1] != "of"]
    ends = [start for start, _, _ in parts[1:]] + [len(rest)] * bool(parts)
    head = rest[: parts[0][0]] if parts else rest
    if (
        parts
        and re.match(r"(?:either|both)\b", head)
        and (more := re.search(r"\s(?:or|and)\s", rest[parts[0][1] : ends[0]]))
    ):
        cut = parts[0][1] + more.start()  # `either a real image from the set or a drawn one`
        return f"{head.strip()} {rest[cut : ends[0]].strip()}", [(parts[0][2], rest[parts[0][1] : cut].strip(" ,"))]
    return head.strip(" ,"), [(w, rest[e:n].strip(" ,")) for (_, e, w), n in zip(parts, ends, strict=True)]


def _verbs(tokens: list[str], imperative: bool) -> list[_Verb]:
    found: list[_Verb] = []
    low = [token.lower() for token in tokens]
    i = 0
    while i < len(tokens):
        each = _verb_at(low, i, found, imperative)
        if each is None:
            i += 1
        else:
            found.append(each)
            i = each.end
    return found


def _verb_at(low: list[str], i: int, found: list[_Verb], imperative: bool) -> _Verb | None:
    word, before = low[i], low[i - 1] if i else ""
    after = low[i + 1] if i + 1 < len(low) else ""
    if word in BE or word in MODALS or (word in ("has", "have", "had") and after in ("been", "not")):
        return _group(low, i)
    if word == "to" and (known := verb(after)) and "base" in known[2] and _open(low, i + 2):
        return _Verb(i, i + 2, known[0], known[1], "purpose")
    known = verb(word)
    if known is None:
        return None
    lemma, act, forms = known
    last = next((each for each in reversed(found) if each.voice != "copula"), None)
    joined = before in ("and", "or", ",", "then", "finally", "subsequently", ";", "but") or before.endswith("ly")
    named = before and before not in DETERMINERS and before not in PREPOSITIONS and before not in ("and", "or", ",")
    if "past" in forms and word not in ("input", "put", "read"):
        if joined and last is not None and last.voice == "passive" and after != "":
            return _Verb(i, i + 1, lemma, act, "passive") if not _noun_follows(low, i) else None
        if joined and last is not None and last.voice == "passive":
            return _Verb(i, i + 1, lemma, act, "passive")
        if (named or before == ",") and after in ("by", "from", "with", "into", "to", "using", "through", "via", "on"):
            active = act in ("move",) and before in ("we", "they")
            return _Verb(i, i + 1, lemma, act, "active" if active else "passive")
        if (
            named
            and i
            and (after in DETERMINERS or before in ("we", "they", "which", "who", "that"))
            and after not in BE
        ):
            return _Verb(i, i + 1, lemma, act, "active")
        if joined and last is not None and last.voice == "active" and after in DETERMINERS:
            return _Verb(i, i + 1, lemma, act, "active")
        return None
    if after in BE or after in MODALS:
        return None
    relative = before in ("which", "that", "who", "we", "they") or (
        joined and last is not None and last.voice == "active"
    )
    if "s" in forms:
        clear = (
            word not in NOUNS
            or after in DETERMINERS
            or relative
            or (_model(before) and after not in PREPOSITIONS | {",", ""})
        )
        return _Verb(i, i + 1, lemma, act, "active") if (named or relative) and clear else None
    if "base" in forms:
        if relative and (word not in NOUNS or after in DETERMINERS or before in ("we", "they", "which", "that")):
            return _Verb(i, i + 1, lemma, act, "active")
        first = imperative and (i == 0 or before in (",", "and", "then", "first", "next", "finally", "or"))
        if first and (word not in NOUNS or after in DETERMINERS or i == 0) and after not in (",", "of"):
            return _Verb(i, i + 1, lemma, act, "active")
        plural = before.endswith("s") and not before.endswith("ss") and before not in DETERMINERS
        if plural and (word not in NOUNS or after in DETERMINERS):
            return _Verb(i, i + 1, lemma, act, "active")
        return None
    if "ing" in forms and before in (",", "thereby", "thus", "by", "hence") and after not in BE and word != "using":
        return _Verb(i, i + 1, lemma, act, "purpose")
    return None


def _group(low: list[str], i: int) -> _Verb:
    """From an auxiliary on: a passive, a modal's verb, or a copula."""
    j = i + 1
    while j < len(low) and (low[j] in BE | ADVERBS | {"been"} or low[j].endswith("ly")):
        j += 1
    known = verb(low[j]) if j < len(low) else None
    passive = low[i] in BE or any(word in BE for word in low[i + 1 : j]) or low[i] in ("has", "have", "had")
    if known and passive and "past" in known[2]:
        return _Verb(i, j + 1, known[0], known[1], "passive")
    if known and not passive and "base" in known[2]:
        return _Verb(i, j + 1, known[0], known[1], "active")
    if j < len(low) and passive and re.search(r"(?:[^e]ed|wn|en)$", low[j]) and not _noun_follows(low, j):
        return _Verb(i, j + 1, low[j], "work", "passive")
    return _Verb(i, j, "be", "skip", "copula")


def _noun_follows(low: list[str], i: int) -> bool:
    """Whether a participle stands before its noun, as in `and normalised features`."""
    after = low[i + 1] if i + 1 < len(low) else ""
    return (
        bool(re.match(r"[^\W\d]", after))
        and after not in PREPOSITIONS | ADVERBS | {"and", "or"} | BE
        and (not after.endswith("ly"))
    )


def _open(low: list[str], i: int) -> bool:
    return i < len(low) and low[i] not in (",", ";", "and")


def _model(word: str) -> bool:
    return bool(
        re.search(
            r"(?:encoder|decoder|network|model|generator|discriminator|classifier|module|layer|head|block|er|net)s?$",
            word,
        )
    )


def _parted(gap: str) -> tuple[str, str, str]:
    """What belongs to the verb before, the word that links, and the next verb's own subject."""
    found = list(SPLIT.finditer(gap))
    if not found:
        return gap, "", ""
    last = found[-1]
    tail = gap[last.end() :].strip()
    words = re.findall(r"which|that|who", last[0].lower())
    return gap[: last.start()], words[0] if words else "and", "" if EDGE_WORDS.match(tail) else tail


def _clean(subject: str) -> str:
    """Without what comes before the subject: `At query time, the user question`."""
    opening = re.match(
        r"^(?:(?:at|in|during|for|after|before|once|when|to|on|given|with|from|by|of|as|specifically|first|next|then"
        r"|finally|additionally|moreover|here|thus|meanwhile|lastly|second(?:ly)?|third(?:ly)?|\w+ly)\b[^,]*,\s*)+",
        subject,
        re.IGNORECASE,
    )
    subject = subject[opening.end() :] if opening else subject
    return re.sub(r"\s+(?:first|then|finally|also|next|\w+ly)$", "", subject).strip(" ,;:")
