"""The words of a method's description: verbs by what they do to a flow, nouns by what they name."""

from __future__ import annotations

import functools
import re
from typing import Literal

from .graph import Kind

__all__ = [
    "AUXILIARIES",
    "BE",
    "DETERMINERS",
    "NOUNS",
    "PEOPLE",
    "PLAIN",
    "PREPOSITIONS",
    "Act",
    "Form",
    "noun_kind",
    "word_set",
    "verb",
]


def word_set(text: str) -> frozenset[str]:
    """Returns the words of a text."""
    return frozenset(text.split())


Act = Literal["process", "produce", "join", "move", "hold", "update", "drop", "work", "skip"]
Form = Literal["base", "s", "past", "ing"]

VERBS: dict[Act, str] = {
    # The object flows into the subject: "the encoder maps the image to a code".
    "process": (
        "take receive accept consume ingest read rerank rank filter refine evaluate score classify analyze "
        "analyse monitor inspect attend process examine observe select sample search query map convert transform "
        "project encode embed compress decode translate turn split divide segment upsample downsample tokenize "
        "tokenise partition chunk group discretize discretise vectorize vectorise summarize summarise"
    ),
    # The subject flows into the object: "the decoder produces a caption".
    "produce": (
        "produce output generate predict yield return compute estimate emit create provide give form build "
        "reconstruct infer synthesize synthesise obtain extract learn derive calculate guide drive supervise "
        "inform trigger deliver issue construct render detect"
    ),
    "join": "add concatenate combine fuse merge sum multiply join align integrate blend append",
    # The object flows to what a preposition names: "we feed the tokens into the encoder".
    "move": (
        "feed pass send forward route transfer store save write insert inject load retrieve fetch collect input "
        "place put submit propagate assign allocate randomize randomise connect link enter flow lead go lie apply"
    ),
    "hold": "contain comprise include consist have compose employ",
    "update": "update backpropagate optimize optimise train finetune fine-tune adjust penalize penalise",
    "drop": "exclude discard withdraw remove lose",
    # A step of its own: "the pages are deduplicated".
    "work": (
        "normalize normalise resize crop augment mask quantize quantise denoise iterate repeat screen enroll "
        "enrol recruit follow interview assess measure record annotate label validate test clean preprocess "
        "pre-process deduplicate prune cluster average pool smooth calibrate minimize minimise maximize maximise "
        "initialize initialise freeze scale treat review index rewrite expand verify check compare reshape "
        "flatten shuffle weight threshold simulate solve perturb execute deploy start register standardize "
        "standardise identify replace tune schedule decompose regularize regularise parse"
    ),
    "skip": (
        "propose introduce present describe show consider adopt perform conduct use utilize utilise leverage "
        "design develop aim address allow enable help improve outperform achieve require need denote define meet "
        "decline call illustrate depict investigate explore ensure rely make do become remain base"
    ),
}
IRREGULAR_PASTS = {
    base: pasts.split()
    for base, pasts in (
        *(("take", "took taken"), ("read", "read"), ("give", "gave given"), ("build", "built"), ("feed", "fed")),
        *(("learn", "learned learnt"), ("split", "split"), ("send", "sent"), ("write", "wrote written")),
        *(("put", "put"), ("lead", "led"), ("go", "went gone"), ("lose", "lost"), ("freeze", "froze frozen")),
        *(("show", "showed shown"), ("make", "made"), ("do", "did done"), ("become", "became become")),
        *(("rewrite", "rewrote rewritten"), ("meet", "met"), ("input", "input inputted"), ("have", "had")),
        *(("drive", "drove driven"), ("lie", "lay lain")),
    )
}
DOUBLED = {"map", "crop", "submit", "transfer", "embed", "enrol"}  # their last letter, in participles
# Verbs that say nothing worth writing beside an arrow.
PLAIN = word_set(
    "feed pass send forward give input provide use produce output take receive yield return generate obtain "
    "predict compute apply get be put place follow enter flow go deliver form convert accept transform map"
)
DETERMINERS = word_set(
    "the a an its their our this these each every all both either no any one two three four five some several "
    "another it them only multiple"
)
PREPOSITIONS = word_set(
    "by with from into onto to using through via over in on as for of at between under within against after "
    "before during than"
)
# Forms of verbs that are more often nouns: "filters", "a map".
NOUNS = word_set(
    "samples outputs inputs maps scores blocks chunks groups filters masks weights measures records labels tests "
    "stores results processes estimates crops queries forms guides places leads drops transfers reviews indexes "
    "uses calls scales links checks loads routes process index score sample output input query sequence mask "
    "filter test train group map block weight label measure record form place rank review pool cluster sum "
    "average drop lead base chunk split link route load scale threshold schedule estimate design need use guide "
    "clean present project projects interview interviews reads designs needs"
)
BE = word_set("is are was were be been being gets get")
AUXILIARIES = BE | word_set("can may will should must could might would")
PEOPLE = re.compile(
    r"\b(?:patients?|participants?|subjects?|volunteers?|individuals?|respondents?|children|adults|women|men|students?"
    r"|cohort|mice|rats|animals)$",
    re.IGNORECASE,
)
KINDS: tuple[tuple[Kind, str], ...] = (
    ("store", r"databases?|index|indices|memory|repositor\w+|data ?sets?|corpus|corpora|knowledge base|bank|buffer"
     r"|(?:training|test|validation) set|store|graph|archive|registry|library|collection"),
    ("loss", r"loss(?:es)?|objective|error|penalty|reward|gradients?|divergence"),
    ("model", r"encoders?|decoders?|(?:net)?works?|networks?|models?|transformers?|generators?|discriminators?|process"
     r"|backbones?|heads?|layers?|modules?|blocks?|lstms?|rnns?|cnns?|gnns?|mlps?|vaes?|gans?|vits?|u-?nets?|resnet\S*"
     r"|bert\S*|gpt\S*|llama\S*|llms?|clip|attention|algorithms?|agents?|planners?|experts?|policy|filters?|regression"
     r"|units?|systems?|service|servers?|pooling|\w*(?:izer|iser|ator|oder|eder|ecker|anker|ever|ifier|oiser|ictor|pler"
     r"|actor|outer|mator|apter|ritic|eacher|arser|(?:det|proj|sel|corr)ector|ncer|ainer|lver)s?"),
)  # fmt: skip
SYMBOL = re.compile(r"(?:\s+(?:[A-Za-z]|[A-Z]_\w+|\u0398|[\u03b1-\u03c9]))+$")  # as in `generator G`


def noun_kind(label: str) -> Kind:
    """Returns the kind of box for a noun phrase, decided by its last word; a symbol after it does not count."""
    plain = SYMBOL.sub("", label)
    for kind, words in KINDS:
        if re.search(rf"\b(?:{words})$", plain, re.IGNORECASE):
            return kind
    return "data"


def verb(word: str) -> tuple[str, Act, frozenset[Form]] | None:
    """Returns lemma, act and possible forms of a word in lower case, or None if it is no verb of the vocabulary."""
    return _verb_forms().get(word)


@functools.cache
def _verb_forms() -> dict[str, tuple[str, Act, frozenset[Form]]]:
    table: dict[str, tuple[str, Act, frozenset[Form]]] = {}
    for act, lemmas in VERBS.items():
        for lemma in lemmas.split():
            for form, spelling in _spellings(lemma):
                known = table.get(spelling, (lemma, act, frozenset[Form]()))
                if known[0] == lemma:
                    forms: frozenset[Form] = known[2] | frozenset((form,))
                    table[spelling] = (lemma, act, forms)
    return table


def _spellings(lemma: str) -> list[tuple[Form, str]]:
    """The forms of a verb: base, third person, participles."""
    ends_in_y = re.search(r"[^aeiou]y$", lemma) is not None
    stem = lemma + lemma[-1] if lemma in DOUBLED else lemma.removesuffix("e")
    third = lemma[:-1] + "ies" if ends_in_y else lemma + ("es" if re.search(r"(?:s|x|z|ch|sh|o)$", lemma) else "s")
    pasts = IRREGULAR_PASTS.get(lemma, [f"{lemma[:-1]}ied" if ends_in_y else f"{stem}ed"])
    return [
        ("base", lemma),
        ("s", "has" if lemma == "have" else third),
        ("ing", f"{stem}ing"),
        *(("past", past) for past in pasts),
    ]
