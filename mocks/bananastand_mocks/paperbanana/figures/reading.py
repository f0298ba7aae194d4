"""Reads a methodology into boxes and arrows. Knows no layout and no drawing.

Sentences are told one after the other to a Reader, which remembers the things that were named and where the flow stands.
What it cannot make sense of it leaves out.
"""

from __future__ import annotations

import re

from .clauses import Clause, clauses, prepositions
from .figure import Refused
from .graph import Box, Graph, Kind
from .lexicon import PEOPLE, kind_of, verb
from .phrases import MARK, Phrase, phrases, same
from .pruning import pruned
from .sentences import Unit, units

__all__ = ["read"]

INSTRUMENT = ("by", "with", "using", "via", "through")
TOWARDS = ("into", "to", "onto")
PLAIN = {"feed", "pass", "send", "forward", "give", "input", "provide", "use", "produce", "output", "take", "receive", "yield",
         "return", "generate", "obtain", "predict", "compute", "apply", "get", "be", "put", "place", "follow", "enter", "flow",
         "go", "deliver", "form", "convert", "accept", "transform", "map"}  # fmt: skip
LEADS_ON = {"and", "or", "of", "to", "in", "with", "for", "by", "on", "from", "their", "its", "between", ","}
PARTICIPLES = {"randomise": "Randomised", "randomize": "Randomized", "assign": "Assigned", "allocate": "Allocated"}


def read(source_context: str, caption: str) -> Graph:
    """The boxes and arrows of a text, the caption's where the text holds none. Raises Refused: no words in either."""
    reader = Reader()
    for unit in units(source_context):
        reader.tell(unit)
    if not reader.graph.boxes:
        for phrase in phrases(re.sub(r"^\s*(?:fig(?:ure)?\.?|table)\s*\w+\s*[:.]?\s*", "", caption, flags=re.IGNORECASE), []):
            reader.box(phrase)
    if not reader.graph.boxes:
        words = re.findall(r"[^\W\d_][\w-]*", source_context[:2000]) or re.findall(r"[^\W_]+", source_context + caption)
        if not words:
            raise Refused("source_context holds no words to draw", "source_context")
        reader.add(" ".join(words[:6]), "step")
    reader.derive()
    reader.connect()
    return pruned(reader.graph)


class Reader:
    """What was read so far: the graph, the words each box is known by, and the boxes the flow has come to."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.known: list[tuple[str, ...]] = []
        self.flow: list[int] = []
        self.came_from: dict[int, list[int]] = {}  # where the flow stood when a box was first named
        self.done: list[tuple[str, list[int], int]] = []  # each verb, where it led, and how many boxes there were
        self.brackets: list[str] = []
        self.people = "Participants"

    def tell(self, unit: Unit) -> None:
        """Take in one sentence, list item or chain of arrows."""
        self.brackets = unit.brackets
        if unit.kind == "chain":
            for link in unit.links:
                self._onward([box for phrase in phrases(link, []) if (box := self.box(phrase)) is not None])
            return
        if unit.kind == "item":
            self._item(unit)
            return
        subject: list[int] | None = []
        for clause in clauses(unit.text, imperative=True):
            subject = self._clause(clause, subject)
            self.done.append((clause.lemma, list(self.flow), len(self.known)))

    def box(self, phrase: Phrase) -> int | None:
        """The box a phrase names, a new one if it is not known; a pronoun means where the flow stands."""
        if phrase.authors:
            return None
        if phrase.pronoun:
            return self.flow[-1] if self.flow else None
        if (of := re.match(r"(.+) (?:outputs?|predictions?|results?)$", phrase.label)) and (source := self._seen(phrases(of[1], [])[0])):
            made = [arrow.target for arrow in self.graph.arrows if arrow.source == source[0]]
            return made[-1] if made else source[0]
        for place in range(len(self.known) - 1, -1, -1):
            if same(phrase, self.known[place]):
                self._detail(place, phrase.details)
                return place
        return self.add(phrase.label, kind_of(phrase.label), phrase.words, phrase.details)

    def add(self, label: str, kind: Kind, words: tuple[str, ...] = (), details: list[str] | None = None) -> int:
        self.graph.boxes.append(Box(label, kind))
        self.known.append(words)
        place = len(self.known) - 1
        self.came_from[place] = list(self.flow)
        self._detail(place, details or [])
        return place

    def connect(self) -> None:
        """Tie parts that no sentence tied to where the flow stood when they were first named."""
        count = len(self.graph.boxes)
        while True:
            reached = {0}
            waiting = [0]
            while waiting:
                fresh = self.graph.neighbours(waiting.pop()) - reached
                reached |= fresh
                waiting += fresh
            loose = [place for place in range(count) if place not in reached]
            if not loose:
                return
            first = self._begins(loose[0])
            before = [place for place in self.came_from[first] if place in reached] or [max(p for p in reached if p < loose[0])]
            for place in before:
                self.graph.join(place, first)

    def derive(self) -> None:
        """What came out of nowhere but is a kind of something known, as the best of the passages, comes from the flow."""
        for place, words in enumerate(self.known):
            into = any(arrow.target == place for arrow in self.graph.arrows)
            of = any(same(Phrase("", known), words) for known in self.known[:place])
            kind = self.graph.boxes[place].kind
            if not words or into or kind not in ("data", "loss"):
                continue
            of = of or (kind == "loss" and all(self.graph.boxes[each].kind != "loss" for each in self.came_from[place]))
            made = [to for lemma, to, count in self.done if count <= place and any(_made_by(word, lemma) for word in words)]
            if made or of:
                self._arrows([each for each in (made[-1] if made else self.came_from[place]) if each != place], [place])

    def _begins(self, place: int) -> int:
        """The first box of a part that nothing leads to, a thing rather than a model."""
        part, waiting = {place}, [place]
        while waiting:
            fresh = self.graph.neighbours(waiting.pop()) - part
            part |= fresh
            waiting += fresh
        begins = sorted(part - {arrow.target for arrow in self.graph.arrows}) or [place]
        return next((each for each in begins if self.graph.boxes[each].kind == "data"), begins[0])

    def _clause(self, clause: Clause, shared: list[int] | None) -> list[int] | None:
        """Carry out one clause; returns its subject's boxes for the clauses that share it, None where we are the subject."""
        object_, preps = prepositions(clause.rest)
        own, _, between = clause.subject.partition(" between ")
        named = phrases(own, self.brackets)
        relative = clause.link in ("which", "that", "who")
        if clause.voice == "purpose":
            self._active(clause, self.flow or shared or [], object_, preps)
            return shared
        if clause.voice == "passive" and (step := self._people(clause, named, preps)):
            return step
        if any(phrase.authors for phrase in named) or (not clause.subject and clause.voice == "active" and (
            shared is None or not (shared or clause.link))):  # fmt: skip
            self._imperative(clause, object_, preps)
            return None
        subject = self._boxes(named)
        if not clause.subject:
            subject = self.flow[-1:] if relative else list(self.flow) if clause.voice == "passive" or not shared else shared
        self._arrows(self._boxes(phrases(between, self.brackets)) if between else [], subject)
        if clause.voice == "passive":
            self._passive(clause, subject, preps)
        elif clause.voice == "active" and subject:
            self._active(clause, subject, object_, preps, self.flow[-1:] if relative and clause.subject and not object_ else None)
        elif subject and object_ and self.graph.boxes[subject[0]].kind == "model":
            self._detail(subject[0], [phrase.label for phrase in phrases(object_, self.brackets)][:1])
        return subject if clause.subject or clause.voice == "active" else shared or subject

    def _passive(self, clause: Clause, subject: list[int], preps: list[tuple[str, str]]) -> None:
        by, to, out = (self._governed(preps, words) for words in (INSTRUMENT, TOWARDS, ("from", "between", "among")))
        if clause.act in ("take", "move") and not to:
            to = self._governed(preps, ("in",))
        label = "" if clause.lemma in PLAIN else clause.lemma
        if clause.lemma == "base":
            to = []
        if clause.act == "hold":
            self._hold(subject, " ".join(words for word, words in preps) or clause.rest)
        elif clause.act == "give":
            self._arrows(out or [] if not by else out or self._idle(by), by or subject, "" if by else label)
            self._arrows(by, subject)
            self._arrows(subject, to)
            self.flow = to or subject or self.flow
        elif clause.act == "join":
            by = [each for each in by if self.graph.boxes[each].kind == "model" or "with" not in dict(preps)]
            partners = self._governed(preps, ("with",)) + (to if clause.lemma in ("add", "append", "join") else [])
            partners = [each for each in partners if each not in by]
            made = [each for each in to if each not in partners]
            if not (partners or by or made or len(subject) > 1):
                return
            place = by[0] if by else self.add(clause.lemma.capitalize(), "step")
            for each in subject + partners:
                self.graph.join(each, place)
            self._arrows([place], made)
            self.flow = made or [place]
        elif clause.act == "update":
            self._arrows(by + self._governed(preps, ("on", "against")), subject, clause.lemma)
            self._arrows(subject, to)
            self.flow = subject or self.flow
        elif clause.act == "skip":
            if by:
                self._arrows(by, subject)
            self._arrows(subject, to)
            self.flow = subject or self.flow
        elif by or to or out or (by := self._places(preps)):
            self._arrows(out, subject, label)
            self._arrows(subject, by, "" if to or not label else label if self._data(subject, by) else "")
            self._arrows(by or subject, to, label if not by else "")
            self.flow = to or by or subject or self.flow
        elif clause.act != "move" and subject and self.graph.boxes[subject[0]].kind != "loss":
            self._work(clause, subject, preps)

    def _active(
        self, clause: Clause, subject: list[int], object_: str, preps: list[tuple[str, str]], things: list[int] | None = None
    ) -> None:
        if clause.act == "hold":
            self._hold(subject, object_ or " ".join(words for _, words in preps))
            return
        if clause.act == "skip":
            if clause.lemma in ("use", "utilize", "utilise", "leverage"):
                self._arrows(self._boxes(phrases(object_, self.brackets)), subject)
            self.flow = subject or self.flow
            return
        to, out = self._governed(preps, TOWARDS), self._governed(preps, ("from",))
        if clause.act == "move" and not object_:
            self._arrows(subject, to)
            self.flow = to or subject
            return
        things = self._boxes(phrases(object_, self.brackets)) if things is None else things
        if clause.act in ("give", "update") or clause.lemma in ("retrieve", "fetch", "collect", "load"):
            label = clause.lemma if clause.act == "update" else ""
            self._arrows(out, subject)
            self._arrows(subject, things, label)
            self._arrows(things, to)
            self.flow = to or things or subject if clause.act != "update" else self.flow
        elif clause.act == "move":
            known = [each for each in things if self.graph.neighbours(each)]
            self._arrows(subject, [each for each in things if each not in known])
            self._arrows(things or subject, to)
            self.flow = to or things or subject
        else:
            partners = self._governed(preps, ("with",)) if clause.act == "join" else []
            self._arrows(out, things[: 1 if re.match("(?:either|both)", object_) else None])
            self._arrows(things + partners, subject)
            self._arrows(subject, to)
            self.flow = to or subject

    def _imperative(self, clause: Clause, object_: str, preps: list[tuple[str, str]]) -> None:
        """What we do, and what a list tells one to do: the object is acted on, or the action is a step."""
        if clause.act in ("skip", "hold"):
            if clause.act == "hold":
                self._hold([], clause.rest)
            elif clause.lemma in ("use", "utilize", "utilise", "leverage"):
                self.flow = self._boxes(phrases(clause.rest, self.brackets))[:1] or self.flow
            return
        moved = {word for word, _ in preps} & {*INSTRUMENT, *TOWARDS, "from"}
        if clause.lemma == "apply" and object_:
            self._arrows(self._governed(preps, ("to", "on")) or self.flow, things := self._boxes(phrases(object_, self.brackets)))
            self.flow = things or self.flow
        elif clause.lemma in ("start", "begin"):
            self.flow = self._governed(preps, ("from", "with")) or self.flow
        elif object_ and (moved or clause.act in ("give", "update")):
            things = self._boxes(phrases(object_, self.brackets))
            if clause.act == "give" and not moved:
                self._arrows(self.flow, things)
                self.flow = things
            else:
                self._passive(clause, things, preps)
        elif object_ or clause.act == "work":
            label = f"{clause.lemma.capitalize()} {_short(object_, 5)}".strip()
            named = [each for phrase in phrases(object_, []) if not phrase.pronoun for each in self._seen(phrase)]
            self._step(label, self.flow or named, [phrase.details for phrase in phrases(object_, self.brackets)])
            self._arrows(named, self.flow)

    def _work(self, clause: Clause, subject: list[int], preps: list[tuple[str, str]]) -> None:
        """A step that changes what it is done to."""
        rest = next((f"{word} {_short(words, 4)}" for word, words in preps if word in ("for", "at", "to", "over", "on", "in")), "")
        self._step(f"{clause.lemma.capitalize()} {rest}".strip(), subject)

    def _people(self, clause: Clause, named: list[Phrase], preps: list[tuple[str, str]]) -> list[int]:
        """Steps of a study: what is done to its participants, and where those go who leave it."""
        plain = MARK.sub("", clause.subject)
        group = next((phrase for phrase in named if PEOPLE.search(phrase.label)), None)
        count = re.search(r"\b\d[\d,]*\b", plain)
        if group is None and not re.fullmatch(r"(?:a total of |of (?:these|them|those)\W+|the remaining )?\d[\d,]*\W*", plain.strip(), re.IGNORECASE):
            return []
        if group is not None:
            self.people = re.sub(r"^[\d,]+\s+", "", group.label).capitalize()
        details = [f"n = {count[0]}"] if count else []
        details += [self.brackets[int(number)] for number in MARK.findall(clause.subject)]
        participle = re.sub(r"^(?:is|are|was|were|been|be|being)\s+", "", clause.said, flags=re.IGNORECASE)
        rest = next((f"{word} {_short(words, 6)}" for word, words in preps if word not in ("between", "because", "as")
                     and word in ("for", "at", "on", "from", "over", "by", "with")), "")  # fmt: skip
        extra = prepositions(clause.rest)[0]
        if clause.act == "drop":
            side = self.add(f"{participle.capitalize()} {rest}".strip(), "loss", (), details)
            self._arrows(self.flow, [side])
            return [side]
        to = self._governed(preps, TOWARDS)
        who = "" if clause.lemma in PARTICIPLES or to else f"{self.people} "
        words = " ".join(each for each in (who + participle, _short(extra, 2), rest if not to else "") if each)
        step = self._step(words[0].upper() + words[1:], details=[details])
        self._arrows(step, to)
        self.flow = to or step
        return step

    def _hold(self, subject: list[int], text: str) -> None:
        """Parts: of a thing they are its details, of the method itself boxes of their own."""
        if re.fullmatch(r"(?:\w+\s+){0,3}(?:components?|stages?|steps?|parts?|modules?|phases?)\W*", text.strip()):
            return
        parts = phrases(re.sub(r"^\s*(?:of\s+)?(?:\w+\s+)?(?:components?|stages?|steps?|parts?|modules?|phases?)\s*[:,]\s*", "", text), self.brackets)
        for place in subject[:1]:
            self._detail(place, [_lower(part.label) for part in parts if not part.pronoun][:4])
        if not subject:
            boxes = self._boxes(parts)
            for first, second in zip(boxes, boxes[1:], strict=False):
                self.came_from[second] = [first]
            self.flow = boxes[:1] or self.flow

    def _item(self, unit: Unit) -> None:
        """A list's item is a step: its name, or its words up to the first preposition; the others are its detail."""
        cut = re.search(r"\s(?:into|using|with|via|by|from|for|through|so that|in order)\s", unit.text)
        head, tail = (unit.text[: cut.start()], unit.text[cut.start() :]) if cut and not unit.labelled else (unit.text, "")
        self._step(_short(head, 7), details=[[_short(tail, 6)] if tail else [], unit.brackets])

    def _step(self, label: str, after: list[int] | None = None, details: list[list[str]] | None = None) -> list[int]:
        place = self.add(_short(label, 9), "step", (), [each for of in details or [] for each in of])
        self._arrows(self.flow if after is None else after, [place])
        self.flow = [place]
        return [place]

    def _onward(self, boxes: list[int]) -> None:
        self._arrows(self.flow, boxes)
        self.flow = boxes or self.flow

    def _boxes(self, found: list[Phrase]) -> list[int]:
        return list(dict.fromkeys(box for phrase in found if (box := self.box(phrase)) is not None))

    def _seen(self, phrase: Phrase) -> list[int]:
        return [place for place, words in enumerate(self.known) if same(phrase, words)][-1:]

    def _governed(self, preps: list[tuple[str, str]], words: tuple[str, ...]) -> list[int]:
        """The boxes that stand behind these prepositions; an amount is no box."""
        texts = [text for word, text in preps if word in words and (word == "into" or not re.match(r"(?:[\d(<>]|\w+ing\b)", text))]
        return [box for text in texts for box in self._boxes(phrases(text, self.brackets))]

    def _arrows(self, sources: list[int], targets: list[int], label: str = "") -> None:
        for source in sources:
            for target in targets:
                self.graph.join(source, target, label)

    def _idle(self, boxes: list[int]) -> list[int]:
        """Where the flow stands, for boxes that nothing leads to yet."""
        return [] if any(arrow.target in boxes for arrow in self.graph.arrows) else [each for each in self.flow if each not in boxes]

    def _places(self, preps: list[tuple[str, str]]) -> list[int]:
        """The models and stores in which something is done."""
        named = [phrase for word, text in preps if word in ("in", "on") for phrase in phrases(text, self.brackets)]
        return self._boxes([phrase for phrase in named if kind_of(phrase.label) in ("model", "store")])

    def _data(self, first: list[int], second: list[int]) -> bool:
        return all(self.graph.boxes[place].kind != "model" for place in first + second)

    def _detail(self, place: int, details: list[str]) -> None:
        box = self.graph.boxes[place]
        for detail in details:
            if detail and len(detail) <= 44 and len(box.details) < 4 and detail.lower() not in box.label.lower() and (
                detail not in box.details):  # fmt: skip
                box.details.append(detail)


def _made_by(word: str, lemma: str) -> bool:
    """Whether a word names what a verb made, as embedding and embedded do of embed."""
    known = verb(word)
    return known is not None and known[0] == lemma and word != lemma or (len(lemma) > 5 and word.startswith(lemma[:-1]) and word != lemma)


def _short(text: str, words: int) -> str:
    """The first words, without articles and brackets, and not ending in a word that leads on; numbers do not count."""
    kept: list[str] = []
    for word in (each for each in MARK.sub("", text).split() if each.lower() not in ("the", "a", "an")):
        if sum(bool(re.search(r"[^\W\d_]{2}", each)) for each in kept) == words:
            break
        kept.append(word)
    while kept and kept[-1].lower() in LEADS_ON:
        kept.pop()
    return re.sub(r"\s+([,;:%])", r"\1", " ".join(kept)).strip(" ,;:")


def _lower(label: str) -> str:
    return label[0].lower() + label[1:] if len(label) > 1 and label[1].islower() else label
