"""Reads a methodology into boxes and arrows. Knows no layout and no drawing.

Sentences are told one after the other to a Reader, which remembers what was named and where the flow stands. What it
cannot make sense of it leaves out.
"""

from __future__ import annotations

import re

from ..figure import FigureError
from .architectures import opened
from .clauses import Clause, clauses, prepositions
from .graph import Graph
from .memory import Memory, short
from .phrases import MARK, Phrase, phrases
from .pruning import pruned
from .sentences import Unit, units
from .vocabulary import PEOPLE

__all__ = ["Reader", "read"]

CAPTION = 2000  # letters of a caption that are read
STEPS = 8  # sentences of a text without a verb that is known
INSTRUMENT = ("by", "with", "using", "via", "through")
TOWARDS = ("into", "to", "onto")
PLAIN = {
    "feed",
    "pass",
    "send",
    "forward",
    "give",
    "input",
    "provide",
    "use",
    "produce",
    "output",
    "take",
    "receive",
    "yield",
    "return",
    "generate",
    "obtain",
    "predict",
    "compute",
    "apply",
    "get",
    "be",
    "put",
    "place",
    "follow",
    "enter",
    "flow",
    "go",
    "deliver",
    "form",
    "convert",
    "accept",
    "transform",
    "map",
}
PARTICIPLES = {"randomise": "Randomised", "randomize": "Randomized", "assign": "Assigned", "allocate": "Allocated"}


def read(source_context: str, caption: str) -> Graph:
    """The boxes and arrows of a text, the caption's where the text holds none. Raises FigureError: no words in either."""
    caption = " ".join(caption[:CAPTION].split())
    reader = Reader()
    for unit in units(source_context):
        reader.tell(unit)
    if not reader.graph.boxes:
        reader.listed(source_context)
    if not reader.graph.boxes and len(told := units(source_context)) > 1:
        reader.sentences(told[:STEPS])
    if not reader.graph.boxes:
        for phrase in phrases(
            re.sub(r"^\s*(?:fig(?:ure)?\.?|table)\s*\w+\s*[:.]?\s*", "", caption, flags=re.IGNORECASE), []
        ):
            reader.box(phrase)
    if not reader.graph.boxes:
        words = re.findall(r"[^\W\d_][\w-]*", source_context[:2000]) or re.findall(r"[^\W_]+", source_context + caption)
        if not words:
            raise FigureError("source_context holds no words to draw", "source_context")
        reader.add(" ".join(words[:6]), "step")
    reader.derive()
    reader.connect()
    return opened(pruned(reader.graph))


class Reader(Memory):
    """Carries out what each clause says of the flow."""

    def tell(self, unit: Unit) -> None:
        """Take in one sentence, list item or chain of arrows."""
        self.brackets = unit.brackets
        if unit.kind == "chain":
            for link in unit.links:
                self.onward([box for phrase in phrases(link, []) if (box := self.box(phrase)) is not None])
            return
        if unit.kind == "item":
            self._item(unit)
            return
        subject: list[int] | None = []
        for clause in clauses(unit.text, imperative=True):
            subject = self._clause(clause, subject)
            self.done.append((clause.lemma, list(self.flow), len(self.known)))

    def listed(self, text: str) -> None:
        """The members of a list in a text without a verb we know, one after the other."""
        match = re.search(
            r"\b(?:with|including|containing|of|shows?|from|draw|illustrate)\s+([^.;:]{3,300}?,[^.;:]{3,300})",
            text[:4000],
        )
        for phrase in phrases(match[1], []) if match else []:
            self.onward([box for box in [self.box(phrase)] if box is not None])

    def sentences(self, told: list[Unit]) -> None:
        """One step for each sentence, by its first words: for a language whose verbs are not known here."""
        for unit in told:
            head = re.split(r"[,;:\u3001\uff0c\uff1a\uff1b]", unit.text)[0]
            self.step(short(head, 7) if " " in head.strip() else head.strip()[:14])

    def _clause(self, clause: Clause, shared: list[int] | None) -> list[int] | None:
        """Carry out one clause; returns its subject's boxes for clauses that share it, None where it is us."""
        object_, preps = prepositions(clause.rest)
        own, _, between = clause.subject.partition(" between ")
        named = phrases(own, self.brackets)
        relative = clause.link in ("which", "that", "who")
        if clause.voice == "purpose":
            self._active(clause, self.flow or shared or [], object_, preps)
            return shared
        if clause.voice == "passive" and (step := self._people(clause, named, preps)):
            return step
        if any(phrase.authors for phrase in named) or (
            not clause.subject and clause.voice == "active" and (shared is None or not (shared or clause.link))
        ):
            self._imperative(clause, object_, preps)
            return None
        subject = self.boxes(named)
        if not clause.subject:
            subject = (
                self.flow[-1:] if relative else list(self.flow) if clause.voice == "passive" or not shared else shared
            )
        self.arrows(self.boxes(phrases(between, self.brackets)) if between else [], subject)
        if clause.voice == "passive":
            self._passive(clause, subject, preps)
        elif clause.voice == "active" and subject:
            self._active(
                clause, subject, object_, preps, self.flow[-1:] if relative and clause.subject and not object_ else None
            )
        elif subject and object_ and self.graph.boxes[subject[0]].kind == "model":
            self.detail(subject[0], [phrase.label for phrase in phrases(object_, self.brackets)][:1])
        return subject if clause.subject or clause.voice == "active" else shared or subject

    def _passive(self, clause: Clause, subject: list[int], preps: list[tuple[str, str]]) -> None:
        by, to, out = (self.governed(preps, words) for words in (INSTRUMENT, TOWARDS, ("from", "between", "among")))
        if clause.act in ("take", "move") and not to:
            to = self.governed(preps, ("in",))
        label = "" if clause.lemma in PLAIN else clause.lemma
        if clause.lemma == "base":
            to = []
        if clause.act == "hold":
            self._hold(subject, " ".join(words for _, words in preps) or clause.rest)
        elif clause.act == "give":
            self.arrows(out or [] if not by else out or self.idle(by), by or subject, "" if by else label)
            self.arrows(by, subject)
            self.arrows(subject, to)
            self.flow = to or subject or self.flow
        elif clause.act == "join":
            by = [each for each in by if self.graph.boxes[each].kind == "model" or "with" not in dict(preps)]
            partners = self.governed(preps, ("with",)) + (to if clause.lemma in ("add", "append", "join") else [])
            partners = [each for each in partners if each not in by]
            made = [each for each in to if each not in partners]
            if not (partners or by or made or len(subject) > 1):
                return
            place = by[0] if by else self.add(clause.lemma.capitalize(), "step")
            for each in subject + partners:
                self.graph.join(each, place)
            self.arrows([place], made)
            self.flow = made or [place]
        elif clause.act == "update":
            self.arrows(by + self.governed(preps, ("on", "against")), subject, clause.lemma)
            self.arrows(subject, to)
            self.flow = subject or self.flow
        elif clause.act == "skip":
            if by:
                self.arrows(by, subject)
            self.arrows(subject, to)
            self.flow = subject or self.flow
        elif by or to or out or (by := self.places(preps)):
            self.arrows(out, subject, label)
            self.arrows(subject, by, "" if to or not label else label if self.plain(subject, by) else "")
            self.arrows(by or subject, to, label if not by else "")
            self.flow = to or by or subject or self.flow
        elif clause.act != "move" and subject and self.graph.boxes[subject[0]].kind != "loss":
            self._work(clause, subject, preps)

    def _active(
        self,
        clause: Clause,
        subject: list[int],
        object_: str,
        preps: list[tuple[str, str]],
        things: list[int] | None = None,
    ) -> None:
        if clause.act == "hold":
            self._hold(subject, object_ or " ".join(words for _, words in preps))
            return
        if clause.act == "skip":
            if clause.lemma in ("use", "utilize", "utilise", "leverage"):
                self.arrows(self.boxes(phrases(object_, self.brackets)), subject)
            self.flow = subject or self.flow
            return
        to, out = self.governed(preps, TOWARDS), self.governed(preps, ("from",))
        if clause.act == "move" and not object_:
            self.arrows(subject, to)
            self.flow = to or subject
            return
        things = self.boxes(phrases(object_, self.brackets)) if things is None else things
        if clause.act in ("give", "update") or clause.lemma in ("retrieve", "fetch", "collect", "load"):
            label = clause.lemma if clause.act == "update" else ""
            self.arrows(out, subject)
            self.arrows(subject, things, label)
            self.arrows(things, to)
            self.flow = to or things or subject if clause.act != "update" else self.flow
        elif clause.act == "move":
            known = [each for each in things if self.graph.neighbours(each)]
            self.arrows(subject, [each for each in things if each not in known])
            self.arrows(things or subject, to)
            self.flow = to or things or subject
        else:
            partners = self.governed(preps, ("with",)) if clause.act == "join" else []
            self.arrows(out, things[: 1 if re.match("(?:either|both)", object_) else None])
            self.arrows(things + partners, subject)
            self.arrows(subject, to)
            self.flow = to or subject

    def _imperative(self, clause: Clause, object_: str, preps: list[tuple[str, str]]) -> None:
        """What we do, and what a list tells one to do: the object is acted on, or the action is a step."""
        if clause.act in ("skip", "hold"):
            if clause.act == "hold":
                self._hold([], clause.rest)
            elif clause.lemma in ("use", "utilize", "utilise", "leverage"):
                self.flow = self.boxes(phrases(clause.rest, self.brackets))[:1] or self.flow
            return
        moved = {word for word, _ in preps} & {*INSTRUMENT, *TOWARDS, "from"}
        if clause.lemma == "apply" and object_:
            self.arrows(
                self.governed(preps, ("to", "on")) or self.flow, things := self.boxes(phrases(object_, self.brackets))
            )
            self.flow = things or self.flow
        elif clause.lemma in ("start", "begin"):
            self.flow = self.governed(preps, ("from", "with")) or self.flow
        elif object_ and (moved or clause.act in ("give", "update")):
            things = self.boxes(phrases(object_, self.brackets))
            if clause.act == "give" and not moved:
                self.arrows(self.flow, things)
                self.flow = things
            else:
                self._passive(clause, things, preps)
        elif object_ or clause.act == "work":
            label = f"{clause.lemma.capitalize()} {short(object_, 5)}".strip()
            named = [each for phrase in phrases(object_, []) if not phrase.pronoun for each in self.seen(phrase)]
            self.step(label, self.flow or named, [phrase.details for phrase in phrases(object_, self.brackets)])
            self.arrows(named, self.flow)

    def _work(self, clause: Clause, subject: list[int], preps: list[tuple[str, str]]) -> None:
        """A step that changes what it is done to."""
        rest = next(
            (f"{word} {short(words, 4)}" for word, words in preps if word in ("for", "at", "to", "over", "on", "in")),
            "",
        )
        self.step(f"{clause.lemma.capitalize()} {rest}".strip(), subject)

    def _people(self, clause: Clause, named: list[Phrase], preps: list[tuple[str, str]]) -> list[int]:
        """Steps of a study: what is done to its participants, and where those go who leave it."""
        plain = MARK.sub("", clause.subject)
        group = next((phrase for phrase in named if PEOPLE.search(phrase.label)), None)
        count = re.search(r"\b\d[\d,]*\b", plain)
        if group is None and not re.fullmatch(
            r"(?:a total of |of (?:these|them|those)\W+|the remaining )?\d[\d,]*\W*", plain.strip(), re.IGNORECASE
        ):
            return []
        if group is not None:
            self.people = re.sub(r"^[\d,]+\s+", "", group.label).capitalize()
        details = [f"n = {count[0]}"] if count else []
        details += [self.brackets[int(number)] for number in MARK.findall(clause.subject)]
        participle = re.sub(r"^(?:is|are|was|were|been|be|being)\s+", "", clause.said, flags=re.IGNORECASE)
        rest = next(
            (
                f"{word} {short(words, 6)}"
                for word, words in preps
                if word not in ("between", "because", "as")
                and word in ("for", "at", "on", "from", "over", "by", "with")
            ),
            "",
        )
        extra = prepositions(clause.rest)[0]
        if clause.act == "drop":
            side = self.add(f"{participle.capitalize()} {rest}".strip(), "loss", (), details)
            self.arrows(self.flow, [side])
            return [side]
        to = self.governed(preps, TOWARDS)
        who = "" if clause.lemma in PARTICIPLES or to else f"{self.people} "
        words = " ".join(each for each in (who + participle, short(extra, 2), rest if not to else "") if each)
        step = self.step(words[0].upper() + words[1:], details=[details])
        self.arrows(step, to)
        self.flow = to or step
        return step

    def _hold(self, subject: list[int], text: str) -> None:
        """Parts: of a thing they are its details, of the method itself boxes of their own."""
        if re.fullmatch(r"(?:\w+\s+){0,3}(?:components?|stages?|steps?|parts?|modules?|phases?)\W*", text.strip()):
            return
        parts = phrases(
            re.sub(
                r"^\s*(?:of\s+)?(?:\w+\s+)?(?:components?|stages?|steps?|parts?|modules?|phases?)\s*[:,]\s*", "", text
            ),
            self.brackets,
        )
        for place in subject[:1]:
            self.detail(place, [_lower(part.label) for part in parts if not part.pronoun][:4])
        if not subject:
            boxes = self.boxes(parts)
            for first, second in zip(boxes, boxes[1:], strict=False):
                self.came_from[second] = [first]
            self.flow = boxes[:1] or self.flow

    def _item(self, unit: Unit) -> None:
        """A list's item is a step: its name, or its words up to the first preposition; the others are its detail."""
        cut = re.search(r"\s(?:into|using|with|via|by|from|for|through|so that|in order)\s", unit.text)
        head, tail = (
            (unit.text[: cut.start()], unit.text[cut.start() :]) if cut and not unit.labelled else (unit.text, "")
        )
        self.step(short(head, 7) or head, details=[[short(tail, 6)] if tail else [], unit.brackets])


def _lower(label: str) -> str:
    return label[0].lower() + label[1:] if len(label) > 1 and label[1].islower() else label
