"""Noun phrases: what of a phrase is its name, what a detail, and when two mean the same. Knows no verbs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Phrase", "phrases", "same"]

LEADING = re.compile(
    r"^(?:(?:the|a|an|this|that|these|those|its|their|our|his|her|each|every|all|both|either|same|resulting"
    r"|proposed|above"
    r"|corresponding|entire|whole|then|also|finally|first|firstly|second|next|subsequently|respective|such|any"
    r"|some|several|two"
    r"|three|four|following|given|only|just|again|another|other|whose|remaining|as|of|well|together|with|and|or|to|into"
    r"|in|on|by|from|using|via|through|at|for|over|under|between|within|after|before|during|obtained|is"
    r"|are)(?![-\w])[\s,:]*)+",
    re.IGNORECASE,
)
CUT = re.compile(
    r"(?:(?:^|\s)(?:that|which|where|who|whom|when|while|because|so that|if|in order|such as|e\.g\.|i\.e\.|during"
    r"|as|without|per"
    r"|based on|according to|due to|given|until|unless|than|along|across|within|under|after|before|among|against"
    r"|towards?|whose"
    r"|each|respectively|in parallel|in turn|at|in|on|from|to|into|by|using|via|through|is|are|was|were|onto|can"
    r"|may|will)(?![-\w])|\s*[:;\u2014]).*$",
    re.IGNORECASE,
)
DETAIL = re.compile(
    r"\b(?:of|with|for|over)\s+((?:a |an |the )?(?:[\d(<>\u2264\u2265~][^,]*|[A-Z]\s+\w+|up to [^,]+))$", re.IGNORECASE
)
PART = re.compile(r"\s+\b(?:with|for|over|between)\s+(.*)$", re.IGNORECASE)
OF = re.compile(r"^(.*?)\s+of\s+(.*)$", re.IGNORECASE)
GENERIC = {
    "network",
    "networks",
    "model",
    "models",
    "module",
    "modules",
    "component",
    "architecture",
    "process",
    "stage",
}
WEAK = {
    "pre-trained",
    "pretrained",
    "frozen",
    "trained",
    "shared",
    "learned",
    "predicted",
    "generated",
    "produced",
    "estimated",
    "reconstructed",
    "extracted",
    "computed",
    "retrieved",
}
PRONOUN = re.compile(
    r"^(?:it|they|them|this|these|those|which|that|who|(?:the )?(?:output|outputs|result|results|latter|former))$",
    re.IGNORECASE,
)
AUTHORS = re.compile(
    r"^(?:we|our (?:method|approach|model|framework|system|pipeline|work|paper)|the (?:proposed |overall |full "
    r"|whole )?"
    r"(?:method|approach|framework|system|pipeline|paper|authors|study)|this (?:paper|work|study)|i|you)$",
    re.IGNORECASE,
)
MARK = re.compile(r"\s*\x01(\d+)\x02")  # where a bracket stood


@dataclass
class Phrase:
    """One noun phrase: the name it goes by, the words it is compared by, details, and what it may stand for."""

    label: str
    words: tuple[str, ...] = ()
    details: list[str] = field(default_factory=list[str])
    pronoun: bool = False
    authors: bool = False


def phrases(text: str, brackets: list[str]) -> list[Phrase]:
    """The noun phrases of a list such as `a query, the top-5 passages and z`."""
    text = re.sub(r"\b(?:as well as|together with|along with|in addition to)\b", " and ", text)
    parts = re.split(r"\s*,\s*(?:and|or)\s+|\s*,\s*|\s+(?:and|or)\s+", text)
    for place, part in enumerate(parts[:-1]):  # `the predicted and the true noise`
        if re.fullmatch(r"(?:the |a )?\w+ed", part.strip()) and parts[place + 1].split():
            parts[place] = f"{part} {parts[place + 1].split()[-1]}"
    return [each for part in parts if (each := _phrase(part.strip(), brackets)) is not None][:6]


def same(new: Phrase, known: tuple[str, ...]) -> bool:
    """Whether a phrase names a thing known already: the same words, or fewer of them with the same last."""
    if not new.words or not known:
        return False
    if new.words == known:
        return True
    return new.words[-1] == known[-1] and set(new.words) < set(known)


def _phrase(text: str, brackets: list[str]) -> Phrase | None:
    details = [brackets[int(number)] for number in MARK.findall(text)]
    text = " ".join(MARK.sub(" ", text).split()).strip(" ,.;:-")
    if AUTHORS.match(text):
        return Phrase(text, authors=True)
    if PRONOUN.match(text):
        return Phrase(text, details=details, pronoun=True)
    text = LEADING.sub("", text)
    if (found := DETAIL.search(text)) and found.start() > 0:
        details.append(_detail(found[0] if not found[0].lower().startswith("of ") else found[1]))
        text = text[: found.start()]
    text = CUT.sub("", text).strip(" ,.;:-")
    if (found := PART.search(text)) and found.start() > 0:
        details += [_detail(each) for each in re.split(r",\s*|\s+and\s+", found[1])][:3]
        text = text[: found.start()]
    if (found := OF.match(text)) and len(text) > 30:
        text = found[1] if found[1].lower() not in ("set", "number", "sequence", "part") else found[2]
    if PRONOUN.match(text):
        return Phrase(text, details=details, pronoun=True)
    text = LEADING.sub("", text)
    words = text.split()
    if not words or not re.search(r"[^\W\d_]", text):
        return None
    if len(words) > 6:
        words = words[-5:]
    label = " ".join(words)
    label = label if re.match(r"[a-z]+[A-Z]|[a-z](?:[-\s]|$)", label) else label[0].upper() + label[1:]
    return Phrase(label, _words(label), [each for each in details if each])


def _words(label: str) -> tuple[str, ...]:
    """Lower case, singular, without symbols and words that say little, unless nothing else is left."""
    plain = [_singular(word) for word in re.findall(r"[^\W_][\w+\-/]*", label.lower())]
    kept = [word for word in plain if len(word) > 1 and word not in WEAK and word not in GENERIC]
    return tuple(kept or plain)


def _singular(word: str) -> str:
    if len(word) < 4 or re.search(r"(?:ss|us|is|as)$", word):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if re.search(r"(?:x|ss|z|ch|sh)es$", word) else word.removesuffix("s")


def _detail(text: str) -> str:
    return " ".join(LEADING.sub("", text).split()).strip(" ,.;:")
