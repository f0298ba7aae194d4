"""Noun phrases: the name a box gets, its details, and when two phrases mean the same thing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .vocabulary import word_set

__all__ = ["BRACKET_MARK", "Phrase", "is_same", "noun_phrases", "shorten"]

LEADING = re.compile(
    r"^(?:(?:the|a|an|this|that|these|those|its|their|our|each|every|all|both|either|same|resulting|proposed|given"
    r"|corresponding|entire|whole|then|also|finally|first|second|next|such|any|some|several|two|three|four|following"
    r"|only|again|another|other|remaining|as|of|together|with|and|or|to|into|in|on|by|from|using|via|through|at|for"
    r"|over|between|after|before|during|is|are)(?![-\w])[\s,:]*)+",
    re.IGNORECASE,
)
TAIL = re.compile(
    r"(?:(?:^|\s)(?:that|which|where|who|when|while|because|so that|if|in order|such as|during|as|without|per|based on"
    r"|according to|due to|until|than|along|across|within|under|after|before|among|against|towards?|whose|each"
    r"|respectively|at|in|on|from|to|into|by|using|via|through|is|are|was|were|onto|can|may|will)(?![-\w])"
    r"|\s*[:;\u2014]).*$",
    re.IGNORECASE,
)
AMOUNT = re.compile(
    r"\s*\b(?:of|with|for|over)\s+((?:an? |the )?(?:[\d(<>\u2264\u2265~][^,]*|up to [^,]+))$", re.IGNORECASE
)
COMPLEMENT = re.compile(r"\s+(?:with|for|over|between)\s+(.*)$", re.IGNORECASE)
PRONOUN = re.compile(
    r"^(?:it|they|them|this|these|those|which|that|who|(?:the )?(?:outputs?|results?|latter|former))$", re.IGNORECASE
)
AUTHORS = re.compile(
    r"^(?:we|i|you|our (?:method|approach|model|framework|system|pipeline|work|paper)"
    r"|th(?:e|is) (?:proposed |overall )?(?:method|approach|framework|system|pipeline|paper|work|study|authors))$",
    re.IGNORECASE,
)
GENERIC = word_set("network networks model models module modules component architecture process stage")
WEAK = word_set(
    "pre-trained pretrained frozen trained shared learned predicted generated produced estimated reconstructed "
    "extracted computed retrieved"
)
LEADS_ON = word_set("and or of to in with for by on from their its between ,")
BRACKET_MARK = re.compile(r"\s*\x01(\d+)\x02")  # stands where a bracket stood


@dataclass
class Phrase:
    """A noun phrase.

    Attributes:
        label: The name a box of it gets; the pronoun itself for a pronoun.
        words: What it is compared by: lower case, singular, without words that say little.
        details: Amounts and brackets that belong to it.
        is_pronoun: Whether it stands for something named before.
        is_authors: Whether it names the authors or their method as a whole.
    """

    label: str
    words: tuple[str, ...] = ()
    details: list[str] = field(default_factory=list[str])
    is_pronoun: bool = False
    is_authors: bool = False


def noun_phrases(text: str, brackets: list[str]) -> list[Phrase]:
    """Returns the phrases of a list such as `a query, the top-5 passages and z`, six at most.

    Args:
        text: The words of the list.
        brackets: Texts of the sentence's brackets, by the number in their mark.
    """
    text = re.sub(r"\b(?:as well as|together with|along with|in addition to)\b", " and ", text)
    parts = re.split(r"\s*,\s*(?:and|or)\s+|\s*,\s*|\s+(?:and|or)\s+", text)
    for place, part in enumerate(parts[:-1]):  # `the predicted and the true noise`
        if re.fullmatch(r"(?:the |a )?\w+ed", part.strip()) and parts[place + 1].split():
            parts[place] = f"{part} {parts[place + 1].split()[-1]}"
    phrases = [_phrase(part.strip(), brackets) for part in parts]
    return [phrase for phrase in phrases if phrase is not None][:6]


def is_same(new: Phrase, known: tuple[str, ...]) -> bool:
    """Returns whether a phrase names a known thing: the same words, or fewer of them with the same last word."""
    if not new.words or not known:
        return False
    return new.words == known or (new.words[-1] == known[-1] and set(new.words) < set(known))


def shorten(text: str, count: int) -> str:
    """Returns the first `count` words without articles and brackets; numbers do not count as words."""
    chosen: list[str] = []
    for word in BRACKET_MARK.sub("", text).split():
        if count == 0 or len(chosen) > 40:
            break
        if word.lower() not in ("the", "a", "an"):
            chosen.append(word)
            count -= re.search(r"[^\W\d_]{2}", word) is not None
    while chosen and chosen[-1].lower() in LEADS_ON:
        chosen.pop()
    return re.sub(r"\s+([,;:%])", r"\1", " ".join(chosen)).strip(" ,;:")


def _phrase(text: str, brackets: list[str]) -> Phrase | None:
    details = [brackets[int(number)] for number in BRACKET_MARK.findall(text)]
    text = " ".join(BRACKET_MARK.sub(" ", text).split()).strip(" ,.;:-")
    if AUTHORS.match(text):
        return Phrase(text, is_authors=True)
    if not PRONOUN.match(text):
        text = LEADING.sub("", text)
        if (amount := AMOUNT.search(text)) and amount.start() > 0:
            details.append(LEADING.sub("", amount[1]))
            text = text[: amount.start()]
        text = TAIL.sub("", text).strip(" ,.;:-")
        if (complement := COMPLEMENT.search(text)) and complement.start() > 0:
            details += [LEADING.sub("", part) for part in re.split(r",\s*|\s+and\s+", complement[1])][:3]
            text = text[: complement.start()]
    if PRONOUN.match(text):
        return Phrase(text, details=details, is_pronoun=True)
    words = LEADING.sub("", text).split()
    if not re.search(r"[^\W\d_]", " ".join(words)):
        return None
    label = " ".join(words if len(words) <= 6 else words[-5:])
    if not re.match(r"[a-z]+[A-Z]|[a-z](?:[-\s]|$)", label):  # `mRNA` and `z` stay as they are
        label = label[0].upper() + label[1:]
    return Phrase(label, _compared_words(label), [detail for detail in details if detail])


def _compared_words(label: str) -> tuple[str, ...]:
    words = [_singular(word) for word in re.findall(r"[^\W_][\w+\-/]*", label.lower())]
    return tuple(word for word in words if len(word) > 1 and word not in WEAK | GENERIC) or tuple(words)


def _singular(word: str) -> str:
    if len(word) < 4 or re.search(r"(?:ss|us|is|as)$", word):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if re.search(r"(?:x|ss|z|ch|sh)es$", word) else word.removesuffix("s")
