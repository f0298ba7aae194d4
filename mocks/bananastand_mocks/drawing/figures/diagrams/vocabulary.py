"""The words a methodology is told with: verbs by what they do to a flow, nouns by what they name. Knows no grammar."""

from __future__ import annotations

import functools
import re
from typing import Literal

__all__ = [
    "ADVERBS",
    "BE",
    "DETERMINERS",
    "MODALS",
    "NOUNS",
    "PEOPLE",
    "PREPOSITIONS",
    "Act",
    "Form",
    "kind_of",
    "verb",
]

Act = Literal["take", "give", "map", "join", "move", "hold", "update", "drop", "work", "skip"]
Form = Literal["base", "s", "past", "ing"]

VERBS: dict[Act, str] = {
    # what stands behind the verb flows into what stands before it
    "take": (
        "take receive accept consume ingest read rerank rank filter refine evaluate score classify analyze "
        "analyse monitor inspect attend process examine observe select sample search query"
    ),
    # and the other way round
    "give": (
        "produce output generate predict yield return compute estimate emit create provide give form build "
        "reconstruct infer synthesize synthesise obtain extract learn derive calculate guide drive supervise "
        "inform trigger deliver issue construct render detect"
    ),
    "map": (
        "map convert transform project encode embed compress decode translate turn split divide segment upsample "
        "downsample tokenize tokenise partition chunk group discretize discretise vectorize vectorise summarize "
        "summarise"
    ),
    "join": "add concatenate combine fuse merge sum multiply join align integrate blend append",
    "move": (
        "feed pass send forward route transfer store save write insert inject load retrieve fetch collect input "
        "place put deliver submit propagate assign allocate randomize randomise connect link enter flow lead go "
        "lie apply"
    ),
    "hold": "contain comprise include consist have compose employ",
    "update": "update backpropagate optimize optimise train finetune fine-tune adjust penalize penalise",
    "drop": "exclude discard withdraw remove lose",
    "work": (
        "normalize normalise resize crop augment mask quantize quantise denoise iterate repeat screen enroll "
        "enrol recruit follow interview assess measure record annotate label validate test clean preprocess "
        "pre-process deduplicate prune cluster average pool smooth calibrate minimize minimise maximize maximise "
        "initialize initialise freeze scale stratify treat examine review index rewrite expand verify check "
        "compare reshape flatten shuffle weight threshold simulate solve perturb grind sieve dilute execute "
        "deploy start register standardize standardise administer dissolve heat cool centrifuge incubate wash dry "
        "mix sequence amplify identify apply replace tune schedule decompose regularize regularise parse"
    ),
    "skip": (
        "propose introduce present describe show consider adopt perform conduct use utilize utilise leverage "
        "design develop aim address allow enable help improve outperform achieve require need denote define meet "
        "decline call illustrate depict summarise investigate explore ensure rely make do become remain state "
        "base"
    ),
}
IRREGULAR = {
    "take": "took taken",
    "read": "read read",
    "give": "gave given",
    "build": "built built",
    "learn": "learned learnt",
    "split": "split split",
    "feed": "fed fed",
    "send": "sent sent",
    "write": "wrote written",
    "put": "put put",
    "lead": "led led",
    "grind": "ground ground",
    "go": "went gone",
    "lose": "lost lost",
    "freeze": "froze frozen",
    "show": "showed shown",
    "make": "made made",
    "do": "did done",
    "become": "became become",
    "rewrite": "rewrote rewritten",
    "meet": "met met",
    "input": "input inputted",
    "have": "had had",
    "drive": "drove driven",
    "lie": "lay lain",
}
DOUBLED = {"map", "crop", "drop", "submit", "transfer", "embed", "enrol", "plug", "skip"}

# fmt: off
DETERMINERS = {
    "the", "a", "an", "its", "their", "our", "this", "these", "each", "every", "all", "both", "either", "no", "any",
    "one", "two", "three", "four", "five", "some", "several", "another", "it", "them", "only", "multiple"
}
PREPOSITIONS = {
    "by", "with", "from", "into", "onto", "to", "using", "through", "via", "over", "in", "on", "as", "for", "of",
    "at", "between", "under", "within", "against", "after", "before", "during", "than"
}
ADVERBS = {
    "not", "then", "also", "first", "finally", "subsequently", "next", "thus", "therefore", "further", "again",
    "still", "only", "now", "never", "always", "jointly", "later", "hence", "all", "both", "each"
}
# verbs by their form that are more often nouns
NOUNS = {
    "samples", "outputs", "inputs", "maps", "scores", "blocks", "chunks", "groups", "filters", "masks", "weights",
    "measures", "records", "labels", "tests", "stores", "results", "processes", "estimates", "crops", "queries",
    "forms", "guides", "places", "leads", "drops", "transfers", "reviews", "indexes", "uses", "calls", "states",
    "scales", "links", "checks", "loads", "routes", "process", "index", "score", "sample", "output", "input",
    "query", "sequence", "mask", "filter", "test", "train", "group", "map", "block", "weight", "label", "measure",
    "record", "form", "place", "rank", "review", "pool", "cluster", "sum", "mix", "average", "heat", "drop", "lead",
    "state", "base", "chunk", "split", "link", "route", "load", "scale", "threshold", "schedule", "estimate",
    "design", "need", "cool", "use", "guide", "clean", "present", "project", "projects", "trains", "sums",
    "interview", "interviews", "reads", "averages", "designs", "needs", "sequences"
}
MODALS = {
    "can", "may", "will", "should", "must", "could", "might", "would"
}
# fmt: on
BE = {"is", "are", "was", "were", "be", "been", "being", "gets", "get"}
PEOPLE = re.compile(
    r"\b(?:patients?|participants?|subjects?|volunteers?|individuals?|respondents?|children|adults|women|men"
    r"|students?|users? recruited|samples? of patients|cohort|eyes|mice|rats|animals)$",
    re.IGNORECASE,
)
MODEL = re.compile(
    r"\b(?:encoders?|decoders?|(?:net)?works?|networks?|models?|transformers?|generators?|discriminators?"
    r"|classifiers?|backbones?"
    r"|heads?|layers?|modules?|blocks?|lstms?|grus?|rnns?|cnns?|gnns?|mlps?|vaes?|gans?|vits?|u-?nets?|resnet\S*"
    r"|bert\S*|gpt\S*"
    r"|llama\S*|llms?|t5|clip|denoisers?|retrievers?|rerankers?|re-rankers?|tokenizers?|tokenisers?|attention"
    r"|process|algorithms?"
    r"|agents?|planners?|experts?|gates?|routers?|schedulers?|optimizers?|optimisers?|solvers?|simulators?"
    r"|engines?|estimators?"
    r"|predictors?|detectors?|adapters?|critics?|actors?|teachers?|students? networks?|policy|filters?|kernels?"
    r"|forests?|regression"
    r"|svms?|units?|systems?|service|servers?|parsers?|sampler|controllers?|bi-encoder|cross-encoder|pooling"
    r"|extractors?|\w+(?:izer|iser|ator|oder|ecker|anker|ictor|(?:det|proj|sel|corr)ector|ncer|ainer)s?)$",
    re.IGNORECASE,
)
STORE = re.compile(
    r"\b(?:databases?|index|indices|memory|repositor\w+|datasets?|data ?sets?|corpus|corpora|knowledge base|bank"
    r"|buffer|training set|test set|validation set|store|graph|archive|registry|library|collection)$",
    re.IGNORECASE,
)
LOSS = re.compile(r"\b(?:loss(?:es)?|objective|error|penalty|reward|gradient|gradients|divergence)$", re.IGNORECASE)


def kind_of(label: str) -> Literal["model", "store", "loss", "data"]:
    """What a noun phrase names, by its last word; a symbol after it does not count."""
    plain = re.sub(r"(?:\s+(?:[A-Za-z]|[A-Z]_\w+|\u0398|[\u03b1-\u03c9]))+$", "", label)
    if STORE.search(plain):
        return "store"
    if LOSS.search(plain):
        return "loss"
    return "model" if MODEL.search(plain) else "data"


def verb(word: str) -> tuple[str, Act, tuple[Form, ...]] | None:
    """Lemma, act and possible forms of a word, if it can be one of our verbs."""
    return _forms().get(word)


@functools.cache
def _forms() -> dict[str, tuple[str, Act, tuple[Form, ...]]]:
    table: dict[str, tuple[str, Act, tuple[Form, ...]]] = {}
    for act, words in VERBS.items():
        for lemma in words.split():
            stem = lemma[:-1] if lemma.endswith("e") else lemma
            stem = lemma + lemma[-1] if lemma in DOUBLED else stem
            stem = lemma[:-1] + "i" if re.search(r"[^aeiou]y$", lemma) else stem
            ing = lemma + "ing" if re.search(r"[^aeiou]y$", lemma) else stem + "ing"
            plural = (
                lemma[:-1] + "ies"
                if re.search(r"[^aeiou]y$", lemma)
                else lemma + ("es" if re.search(r"(?:s|x|z|ch|sh|o)$", lemma) else "s")
            )
            past = IRREGULAR.get(lemma, f"{stem}ed {stem}ed").split()
            plural = {"have": "has"}.get(lemma, plural)
            for form, spelled in [("base", lemma), ("s", plural), ("ing", ing), *(("past", each) for each in past)]:
                old = table.get(spelled)
                if old is None or old[0] == lemma:
                    table[spelled] = (lemma, act, (*(old[2] if old else ()), form))  # pyright: ignore[reportArgumentType]
    return table
