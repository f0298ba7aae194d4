"""Reads a method's description into boxes and arrows: lists, chains of arrows, and plain English sentences.

A reader takes in one unit of text after the other. It remembers the boxes by their names, and where the flow stands. It
leaves out what it cannot make sense of.
"""

from __future__ import annotations

import re
from itertools import pairwise

from ..figure import FigureError
from .architectures import open_architecture
from .clauses import Clause, clauses, split_prepositions
from .graph import Box, Graph, Kind
from .phrases import BRACKET_MARK, Phrase, is_same, noun_phrases, shorten
from .pruning import pruned
from .sentences import Unit, units
from .vocabulary import PEOPLE, PLAIN, noun_kind, verb

__all__ = ["read"]

CAPTION, CONTEXT = 2000, 4000  # characters that are searched for names and lists where no sentence can be read
STEPS = 8  # sentences of a text without a known verb
DETAILS, DETAIL_LENGTH = 4, 44
AGENT = ("by", "with", "using", "via", "through")
TOWARDS = ("into", "to", "onto")
USE = ("use", "utilize", "utilise", "leverage")
LIST = re.compile(r"\b(?:with|including|containing|of|shows?|from|draw|illustrate)\s+([^.;:]{3,300}?,[^.;:]{3,300})")

Places = list[int]  # boxes by their place in the graph
Prepositions = list[tuple[str, str]]


def read(source_context: str, caption: str) -> Graph:
    """Returns the boxes and arrows of a text.

    Args:
        source_context: The method's description; of a paper, its method section is read.
        caption: Named boxes are taken from it if the text has none.

    Raises:
        FigureError: There is no word in either.
    """
    reader = _Reader()
    text = units(source_context)
    for unit in text:
        reader.read_unit(unit)
    if not reader.graph.boxes and (listed := LIST.search(source_context[:CONTEXT])):
        for phrase in noun_phrases(listed[1], []):
            reader.continue_with(reader.places([phrase]))
    if not reader.graph.boxes and len(text) > 1:  # a language whose verbs are unknown here: a step for each sentence
        for unit in text[:STEPS]:
            head = re.split(r"[,;:\u3001\uff0c\uff1a\uff1b]", unit.text)[0].strip()
            reader.add_step(shorten(head, 7) if " " in head else head[:14])
    if not reader.graph.boxes:
        title = re.sub(r"^\s*(?:fig(?:ure)?\.?|table)\s*\w+\s*[:.]?\s*", "", caption[:CAPTION], flags=re.IGNORECASE)
        reader.places(noun_phrases(" ".join(title.split()), []))
    if not reader.graph.boxes:
        words = re.findall(r"[^\W\d_][\w-]*", source_context[:CAPTION]) or re.findall(
            r"[^\W_]+", source_context + caption
        )
        if not words:
            raise FigureError("source_context holds no words to draw", "source_context")
        reader.add_box(Phrase(" ".join(words[:6])), "step")
    reader.connect_results()
    reader.connect_parts()
    return open_architecture(pruned(reader.graph))


class _Reader:
    """Collects boxes and arrows; `flow` are the boxes at which the description has arrived."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.flow: Places = []
        self._names: list[tuple[str, ...]] = []  # of each box, as phrases compare them
        self._origins: dict[int, Places] = {}  # where the flow stood when a box was first named
        self._results: list[tuple[str, Places, int]] = []  # each verb, where it led, how many boxes there were
        self._brackets: list[str] = []

    def read_unit(self, unit: Unit) -> None:
        """Takes in a sentence, a list item or a chain of arrows."""
        self._brackets = unit.brackets
        if unit.kind == "chain":
            for link in unit.links:
                self.continue_with(self.places(noun_phrases(link, [])))
        elif unit.kind == "item":
            self._read_item(unit)
        else:
            subject: Places | None = []
            for clause in clauses(unit.text):
                subject = self._read_clause(clause, subject)
                self._results.append((clause.lemma, list(self.flow), len(self._names)))

    def continue_with(self, boxes: Places) -> None:
        """Leads the flow on to these boxes."""
        self._join(self.flow, boxes)
        self.flow = boxes or self.flow

    def add_step(self, label: str, after: Places | None = None, details: list[str] | None = None) -> Places:
        """Adds a step behind some boxes, by default behind the flow, which then stands at the step."""
        name = shorten(label, 9) or " ".join(BRACKET_MARK.sub("", label).split())[:60]
        if name:
            place = self.add_box(Phrase(name, details=details or []), "step")
            self._join(self.flow if after is None else after, [place])
            self.flow = [place]
        return list(self.flow)

    def add_box(self, phrase: Phrase, kind: Kind) -> int:
        """Adds a box and returns its place."""
        place = len(self._names)
        self.graph.boxes.append(Box(phrase.label, kind))
        self._names.append(phrase.words)
        self._origins[place] = list(self.flow)
        self._add_details(place, phrase.details)
        return place

    def places(self, phrases: list[Phrase]) -> Places:
        """Returns the boxes that phrases name; what is not known yet gets a box."""
        found = [self._place(phrase) for phrase in phrases]
        return list(dict.fromkeys(place for place in found if place is not None))

    def connect_results(self) -> None:
        """Joins boxes that nothing leads to, but that were made before: `embeddings` after `are embedded`."""
        for place, words in enumerate(self._names):
            kind = self.graph.boxes[place].kind
            if not words or kind not in ("data", "loss") or any(arrow.target == place for arrow in self.graph.arrows):
                continue
            makers = [flow for lemma, flow, count in self._results
                      if count <= place and any(_is_result(word, lemma) for word in words)]  # fmt: skip
            is_kind_of_known = any(is_same(Phrase("", known), words) for known in self._names[:place])
            if makers or is_kind_of_known:
                sources = makers[-1] if makers else self._origins[place]
                self._join([source for source in sources if source != place], [place])

    def connect_parts(self) -> None:
        """Joins parts that no sentence joined to where the flow stood when they were first named."""
        while loose := set(range(len(self._names))) - (reached := self._reachable(0)):
            part = self._reachable(min(loose))
            starts = sorted(part - {arrow.target for arrow in self.graph.arrows}) or [min(loose)]
            first = next((place for place in starts if self.graph.boxes[place].kind == "data"), starts[0])
            origins = [place for place in self._origins[first] if place in reached]
            self._join(origins or [max(place for place in reached if place < min(loose))], [first])

    def _read_item(self, unit: Unit) -> None:
        """A list item is a step: its words up to the first preposition, the others are its detail."""
        cut = re.search(r"\s(?:into|using|with|via|by|from|for|through|so that|in order)\s", unit.text)
        head, tail = unit.text, ""
        if cut and not unit.has_name:
            head, tail = unit.text[: cut.start()], shorten(unit.text[cut.start() :], 6)
        self.add_step(shorten(head, 7) or head, details=[tail, *unit.brackets])

    def _read_clause(self, clause: Clause, shared: Places | None) -> Places | None:
        """Carries out a clause; returns its subject for clauses that share it, None if it is the authors."""
        object_, preps = split_prepositions(clause.rest)
        own, _, between = clause.subject.partition(" between ")
        subjects = self._phrases(own)
        if clause.voice == "purpose":
            self._read_active(clause, self.flow or shared or [], object_, preps)
            return shared
        if clause.voice == "passive" and (step := self._read_study(clause, subjects, preps)):
            return step
        without_subject = not clause.subject and clause.voice == "active"
        if any(phrase.is_authors for phrase in subjects) or (
            without_subject and (shared is None or not (shared or clause.link))
        ):
            self._read_instruction(clause, object_, preps)
            return None
        relative = clause.link in ("which", "that", "who")
        subject = self.places(subjects)
        if not clause.subject:
            stays = clause.voice == "passive" or not shared
            subject = self.flow[-1:] if relative else list(self.flow) if stays else shared or []
        if between:
            self._join(self.places(self._phrases(between)), subject)
        if clause.voice == "passive":
            self._read_passive(clause, subject, preps)
        elif clause.voice == "active" and subject:
            things = self.flow[-1:] if relative and clause.subject and not object_ else None  # `..., which X converts`
            self._read_active(clause, subject, object_, preps, things)
        return subject if clause.subject or clause.voice == "active" else shared or subject

    def _read_passive(self, clause: Clause, subject: Places, preps: Prepositions) -> None:
        by, to = self._governed(preps, AGENT), self._governed(preps, TOWARDS)
        source = self._governed(preps, ("from", "between", "among"))
        if clause.act == "move" and not to:
            to = self._governed(preps, ("in",))
        label = "" if clause.lemma in PLAIN else clause.lemma
        if clause.act == "produce":
            self._join(source, by or subject, "" if by else label)
            self._chain(by, subject, to)
        elif clause.act == "join":
            self._combine(clause, subject, by, to, preps)
        elif clause.act == "update":
            self._join(by, subject, label)
            self.flow = subject or self.flow
        elif by or to or source:
            models = any(self.graph.boxes[place].kind == "model" for place in subject + by)
            self._join(source, subject, label)
            self._join(subject, by, "" if to or models else label)
            self._join(by or subject, to, "" if by else label)
            self.flow = to or by or subject or self.flow
        elif clause.act != "move" and subject and self.graph.boxes[subject[0]].kind != "loss":
            words = ("for", "at", "to", "over", "on", "in")
            rest = next((f"{word} {shorten(governed, 4)}" for word, governed in preps if word in words), "")
            self.add_step(f"{clause.lemma.capitalize()} {rest}", subject)

    def _combine(self, clause: Clause, subject: Places, by: Places, to: Places, preps: Prepositions) -> None:
        """Several things come together in a model, or in a step named by the verb."""
        if "with" in dict(preps):
            by = [place for place in by if self.graph.boxes[place].kind == "model"]
        partners = self._governed(preps, ("with",)) + (to if clause.lemma in ("add", "append", "join") else [])
        partners = [place for place in partners if place not in by]
        results = [place for place in to if place not in partners]
        if partners or by or results or len(subject) > 1:
            node = by[0] if by else self.add_box(Phrase(clause.lemma.capitalize()), "step")
            self._chain(subject + partners, [node], results)

    def _read_active(
        self, clause: Clause, subject: Places, object_: str, preps: Prepositions, things: Places | None = None
    ) -> None:
        """The subject acts on the object, or on `things`."""
        if clause.act in ("hold", "skip"):
            for place in subject[:1] if clause.act == "hold" else ():
                self._add_details(place, [part.label for part in self._phrases(object_)])
            if clause.lemma in USE:
                self._join(self.places(self._phrases(object_)), subject)
            self.flow = subject or self.flow
            return
        to, source = self._governed(preps, TOWARDS), self._governed(preps, ("from",))
        if clause.act == "move" and not object_:
            self._chain(subject, to)
            return
        things = self.places(self._phrases(object_)) if things is None else things
        if clause.act == "update":
            self._join(subject, things, clause.lemma)
        elif clause.act == "produce" or clause.lemma in ("retrieve", "fetch", "collect", "load"):
            self._chain(source, subject, things, to)
        elif clause.act == "move":
            self._join(subject, [place for place in things if not self.graph.neighbours(place)])
            self._chain(things or subject, to)
        else:
            partners = self._governed(preps, ("with",)) if clause.act == "join" else []
            self._join(source, things[: 1 if re.match("either|both", object_) else None])
            self._chain(things + partners, subject, to)

    def _read_instruction(self, clause: Clause, object_: str, preps: Prepositions) -> None:
        """What we do, or what a list tells somebody to do: the object is acted on, or the action is a step."""
        towards = {word for word, _ in preps} & {*AGENT, *TOWARDS, "from"}
        if clause.act in ("skip", "hold"):
            if clause.lemma in USE:
                self.flow = self.places(self._phrases(clause.rest))[:1] or self.flow
        elif clause.lemma in ("start", "begin"):
            self.flow = self._governed(preps, ("from", "with")) or self.flow
        elif clause.lemma == "apply" and object_:
            self._chain(self._governed(preps, ("to", "on")) or self.flow, self.places(self._phrases(object_)))
        elif object_ and (towards or clause.act == "update"):
            self._read_passive(clause, self.places(self._phrases(object_)), preps)
        elif object_ or clause.act == "work":
            phrases = self._phrases(object_)
            known = [place for phrase in phrases if not phrase.is_pronoun for place in self._known(phrase)]
            details = [detail for phrase in phrases for detail in phrase.details]
            step = self.add_step(f"{clause.lemma.capitalize()} {shorten(object_, 5)}", self.flow or known, details)
            self._join(known, step)

    def _read_study(self, clause: Clause, subjects: list[Phrase], preps: Prepositions) -> Places:
        """A step of a study: what is done to its participants, and where those go who leave it. Else, nothing."""
        group = next((phrase for phrase in subjects if PEOPLE.search(phrase.label)), None)
        plain = BRACKET_MARK.sub("", clause.subject).strip(" ,")
        if group is None and not re.fullmatch(
            r"(?:(?:a total )?of (?:these|them|those)\W+)?\d[\d,]*", plain, re.IGNORECASE
        ):
            return []
        count = re.search(r"\b\d[\d,]*\b", plain)
        details = [f"n = {count[0]}"] if count else []
        participle = clause.verb.split()[-1]
        rest = next((f"{word} {shorten(words, 6)}" for word, words in preps if word in ("for", "at", "on", "over")), "")
        if clause.act == "drop":
            side = self.add_box(Phrase(f"{participle} {rest}".strip().capitalize(), details=details), "loss")
            self._join(self.flow, [side])
            return [side]
        to = self._governed(preps, TOWARDS)
        if to:
            label = re.sub(r"^(?:is|are|was|were|been|be|being)\s+", "", clause.verb)
        else:
            people = re.sub(r"^[\d,]+\s+", "", group.label) if group else "Participants"
            label = " ".join([people, participle, shorten(split_prepositions(clause.rest)[0], 2), rest])
        step = self.add_step(label[0].upper() + label[1:], details=details)
        self.continue_with(to)
        return step

    def _place(self, phrase: Phrase) -> int | None:
        """The box of a phrase, a new one if it is not known; a pronoun stands for the end of the flow."""
        if phrase.is_authors:
            return None
        if phrase.is_pronoun:
            return self.flow[-1] if self.flow else None
        if result := re.match(r"(.+) (?:outputs?|predictions?|results?)$", phrase.label):
            source = [place for named in noun_phrases(result[1], [])[:1] for place in self._known(named)]
            if source:
                return next((a.target for a in reversed(self.graph.arrows) if a.source == source[0]), source[0])
        if known := self._known(phrase):
            self._add_details(known[0], phrase.details)
            return known[0]
        return self.add_box(phrase, noun_kind(phrase.label))

    def _known(self, phrase: Phrase) -> Places:
        """The box that was named last of those a phrase may mean, or nothing."""
        return [place for place, words in enumerate(self._names) if is_same(phrase, words)][-1:]

    def _phrases(self, text: str) -> list[Phrase]:
        return noun_phrases(text, self._brackets)

    def _governed(self, preps: Prepositions, words: tuple[str, ...]) -> Places:
        """The boxes behind these prepositions; amounts and gerunds name no box."""
        texts = [
            text
            for word, text in preps
            if word in words and (word == "into" or not re.match(r"[\d(<>]|\w+ing\b", text))
        ]
        return [place for text in texts for place in self.places(self._phrases(text))]

    def _chain(self, *stages: Places) -> None:
        """Joins each stage that has boxes to the next; the flow then stands at the last."""
        filled = [stage for stage in stages if stage]
        for sources, targets in pairwise(filled):
            self._join(sources, targets)
        self.flow = filled[-1] if filled else self.flow

    def _join(self, sources: Places, targets: Places, label: str = "") -> None:
        for source in sources:
            for target in targets:
                self.graph.join(source, target, label)

    def _reachable(self, start: int) -> set[int]:
        """The boxes that arrows tie to a box, in either direction, and the box itself."""
        reached, waiting = {start}, [start]
        while waiting:
            fresh = self.graph.neighbours(waiting.pop()) - reached
            reached |= fresh
            waiting += fresh
        return reached

    def _add_details(self, place: int, details: list[str]) -> None:
        box = self.graph.boxes[place]
        for detail in details:
            fits = 0 < len(detail) <= DETAIL_LENGTH and len(box.details) < DETAILS
            if fits and detail not in box.details and detail.lower() not in box.label.lower():
                box.details.append(detail)


def _is_result(word: str, lemma: str) -> bool:
    """Returns whether a noun names the outcome of a verb, as embedding does of embed."""
    known = verb(word)
    return word != lemma and (
        (known is not None and known[0] == lemma) or (len(lemma) > 5 and word.startswith(lemma[:-1]))
    )
