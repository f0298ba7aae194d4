"""Splits a sentence into clauses: one verb each, with the words of its subject and the words after it.

There is no tagger: a word counts as a verb when its form, its neighbours and the vocabulary allow it.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from .vocabulary import AUXILIARIES, BE, DETERMINERS, NOUNS, PREPOSITIONS, Act, Form, verb

__all__ = ["Clause", "clauses", "split_prepositions"]

Voice = Literal["active", "passive", "purpose", "copula"]

TOKEN = re.compile(r"\x01\d+\x02|[^\W_]+(?:(?:[-/.'\u2019@+_=]|(?<=\d),(?=\d))\w+)*[%+]?|[,;:]|\S")
REASON = re.compile(r",?\s(?:because|since|although|unless|whenever|even though|so that)\s", re.IGNORECASE)
CLAUSE_LINK = re.compile(
    r"(?:^|[\s,])(?:,?\s*(?:and|but|or|so|while|before|after|where|whereas|until|once)"
    r"(?:\s+(?:then|finally|subsequently|lastly))?|,?\s*(?:which|that|who)|[,;:]\s*(?:then|finally|subsequently)?|then)"
    r"(?=\s|$)\s*",
    re.IGNORECASE,
)
NO_SUBJECT = re.compile(r"^(?:then|next|it|\w+ly)\s*$", re.IGNORECASE)
OPENING = re.compile(
    r"^(?:(?:at|in|during|for|after|before|once|when|to|on|given|with|from|by|of|as|first|next|then|here|thus"
    r"|meanwhile|second|third|moreover|\w+ly)\b[^,]*,\s*)+",
    re.IGNORECASE,
)
PREPOSITION = re.compile(
    r"(?:^|\s)(into|onto|to|from|by|with|using|via|through|in|on|between|among|as|for|at|over|against)\s+"
)
MODEL_WORD = re.compile(r"(?:network|model|module|layer|head|block|er|or|net)s?$")
RELATIVES = ("which", "that", "who", "we", "they")
LINKS = ("and", "or", ",", ";", "but", "then", "finally", "subsequently")
PARTICIPLE_LINKS = ("by", "from", "with", "into", "to", "using", "through", "via", "on")


class Clause(NamedTuple):
    """A verb and what stands around it.

    Attributes:
        lemma: The verb's base form.
        act: What the verb does to the flow.
        voice: "purpose" for `to do` and `, doing`; "copula" for a form of `be` without a participle.
        subject: Words of the subject; empty if it is the subject of the clause before.
        rest: Words after the verb.
        verb: The verb as it is written.
        link: The word that ties the clause to the one before; empty for the first.
    """

    lemma: str
    act: Act
    voice: Voice
    subject: str
    rest: str
    verb: str
    link: str


class _Verb(NamedTuple):
    start: int
    end: int
    lemma: str
    act: Act
    voice: Voice


def clauses(sentence: str) -> list[Clause]:
    """Returns the clauses of a sentence in order; a reason such as `because ...` is left out."""
    tokens = TOKEN.findall(REASON.split(sentence)[0])
    verbs = _find_verbs([token.lower() for token in tokens])
    found: list[Clause] = []
    before, link = " ".join(tokens[: verbs[0].start]) if verbs else "", ""
    for place, item in enumerate(verbs):
        following = verbs[place + 1] if place + 1 < len(verbs) else None
        rest = " ".join(tokens[item.end : following.start if following else len(tokens)])
        next_link, next_subject = "", ""
        if following and following.voice != "purpose":
            rest, next_link, next_subject = _split_at_last_link(rest)
        written = " ".join(tokens[item.start : item.end])
        found.append(Clause(item.lemma, item.act, item.voice, _subject(before), rest.strip(" ,;:"), written, link))
        before, link = next_subject, next_link
    return found


def split_prepositions(rest: str) -> tuple[str, list[tuple[str, str]]]:
    """Splits the words after a verb into the object and (preposition, governed words) pairs; `of` splits nothing."""
    matches = list(PREPOSITION.finditer(rest))
    if not matches:
        return rest.strip(" ,"), []
    ends = [match.start() for match in matches[1:]] + [len(rest)]
    pairs = [(match[1], rest[match.end() : end].strip(" ,")) for match, end in zip(matches, ends, strict=True)]
    head = rest[: matches[0].start()]
    if re.match(r"(?:either|both)\b", head) and (parts := re.split(r"\s(?=(?:or|and)\s)", pairs[0][1], maxsplit=1))[1:]:
        # `either a real image from the set or a drawn one`: what follows `or` belongs to the object.
        return f"{head.strip()} {parts[1]}", [(pairs[0][0], parts[0].strip(" ,"))]
    return head.strip(" ,"), pairs


def _find_verbs(words: list[str]) -> list[_Verb]:
    found: list[_Verb] = []
    place = 0
    while place < len(words):
        previous: Voice | None = next((item.voice for item in reversed(found) if item.voice != "copula"), None)
        item = _verb_at(words, place, previous)
        place = item.end if item else place + 1
        found += [item] if item else []
    return found


def _verb_at(words: list[str], i: int, previous: Voice | None) -> _Verb | None:
    word, before = words[i], words[i - 1] if i else ""
    after = words[i + 1] if i + 1 < len(words) else ""
    if word in AUXILIARIES or (word in ("has", "have", "had") and after in ("been", "not")):
        return _verb_group(words, i)
    known = verb(after if word == "to" else word)
    if known is None:
        return None
    lemma, act, forms = known
    if word == "to":
        purpose = "base" in forms and i + 2 < len(words) and words[i + 2] not in (",", ";", "and")
        return _Verb(i, i + 2, lemma, act, "purpose") if purpose else None
    if "past" in forms and word not in ("input", "put", "read"):
        voice = _past_voice(words, i, before, after, previous)
    else:
        voice = _present_voice(word, i, before, after, forms, previous)
    return _Verb(i, i + 1, lemma, act, voice) if voice else None


def _past_voice(words: list[str], i: int, before: str, after: str, previous: Voice | None) -> Voice | None:
    linked = before in LINKS or before.endswith("ly")
    if linked and previous == "passive":
        return None if _noun_follows(words, i) else "passive"
    if (_ends_a_noun(before) or before == ",") and after in PARTICIPLE_LINKS:
        return "passive"
    return "active" if _ends_a_noun(before) and after in DETERMINERS else None


def _present_voice(
    word: str, i: int, before: str, after: str, forms: frozenset[Form], previous: Voice | None
) -> Voice | None:
    if after in AUXILIARIES:
        return None
    continues = (before in LINKS or before.endswith("ly")) and previous == "active"
    is_clear = word not in NOUNS or after in DETERMINERS
    if "s" in forms:
        is_clear |= before in RELATIVES or continues
        is_clear |= bool(MODEL_WORD.search(before)) and after not in PREPOSITIONS | {",", ""}
        return "active" if is_clear and (_ends_a_noun(before) or continues) else None
    if "base" in forms:
        imperative = (i == 0 or before in (",", "and", "then", "first", "next", "finally", "or")) and after not in (
            ",",
            "of",
        )
        is_verb = before in RELATIVES or (is_clear and (continues or imperative)) or (i == 0 and imperative)
        return "active" if is_verb else None
    return "purpose" if before in (",", "thereby", "thus", "by", "hence") and word != "using" else None


def _verb_group(words: list[str], i: int) -> _Verb:
    """Reads from an auxiliary on: a passive, a modal's verb, or a copula."""
    j = i + 1
    while j < len(words) and (words[j] in BE or words[j] in ("not", "then", "also", "first", "all", "both", "each")
                              or words[j].endswith("ly")):  # fmt: skip
        j += 1
    known = verb(words[j]) if j < len(words) else None
    passive = words[i] in ("has", "have", "had") or any(word in BE for word in words[i:j])
    if known and ("past" if passive else "base") in known[2]:
        return _Verb(i, j + 1, known[0], known[1], "passive" if passive else "active")
    return _Verb(i, j, "be", "skip", "copula")


def _ends_a_noun(word: str) -> bool:
    return bool(word) and word not in DETERMINERS and word not in PREPOSITIONS and word not in ("and", "or", ",")


def _noun_follows(words: list[str], i: int) -> bool:
    """Returns whether a participle stands before its noun, as in `and normalised features`."""
    after = words[i + 1] if i + 1 < len(words) else ""
    return bool(re.match(r"[^\W\d](?!.*ly$)", after)) and after not in PREPOSITIONS | BE | {
        "and",
        "or",
        "then",
        "again",
    }


def _split_at_last_link(words: str) -> tuple[str, str, str]:
    """Splits the words between two verbs: rest of the first, relative pronoun or `and`, subject of the second."""
    *_, last = [None, *CLAUSE_LINK.finditer(words)]
    if last is None:
        return words, "", ""
    subject = words[last.end() :].strip()
    relative = re.search(r"which|that|who", last[0].lower())
    return words[: last.start()], relative[0] if relative else "and", "" if NO_SUBJECT.match(subject) else subject


def _subject(words: str) -> str:
    """The subject without an opening such as `At query time,` and without adverbs before the verb."""
    return re.sub(r"\s+(?:first|then|also|next|\w+ly)$", "", OPENING.sub("", words)).strip(" ,;:")
