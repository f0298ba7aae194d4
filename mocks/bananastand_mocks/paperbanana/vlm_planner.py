"""What a brain is asked about a task, and what its answer changes: the recipe, which is then drawn as any other.

A diagram becomes the boxes and arrows that the brain read, a plot the intent that it made more exact, a prompt its
text. Each iteration after the first shows it the picture. The recipe is kept, so that the picture can be drawn again
without asking.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .vlm import Question, Vlm, VlmError

__all__ = ["VlmPlanner"]

FigureRecipe = dict[str, Any]

SYSTEM = "You plan figures for scientific papers. You answer with one JSON object and nothing else."
EDITOR = "You edit descriptions of figures for scientific papers. You answer with the edited description alone."
DIAGRAM = """Read the methodology into a diagram of at most 20 boxes, in the text's own terms.
Answer as {{"boxes": [{{"label": "...", "kind": "data|model|store|loss|step", "details": ["..."]}}],
"arrows": [{{"source": 0, "target": 1, "label": ""}}], "frames": [{{"title": "...", "members": [0, 1]}}]}},
where numbers are places in boxes, labels have at most five words, and details and frames may be empty.

Caption: {caption}

Methodology:
{source_context}"""
PLOT = """Say in one or two sentences which chart shows these data best, keeping to what is asked.
Name one kind (bar, grouped bar, line, histogram, scatter, box, heat map), and where they help: value labels, a legend,
title: '...', x-axis: '...', y-axis: '...', log-scale y axis, horizontal bars, sorted, a trend line.
Answer as {{"intent": "..."}}.

Asked for: {intent}

Data:
{data_json}"""
PROMPT = """Edit this description of a {diagram_type} figure: keep every name and number, and add layout, palette and
typography.

Description: {prompt}
Context: {source_context}
Caption: {caption}
Guidelines: {guidelines}"""
LOOK = """This is the figure that was drawn from {plan}
Answer {{"done": true}} if it is fit for print, else the whole corrected JSON object in the same form."""
TEXT, DATA = 60_000, 8_000  # characters of a context, and of data, that are sent


@dataclass(frozen=True, slots=True)
class VlmPlanner:
    """A vision language model, and how a recipe is drawn for it to look at."""

    vlm: Vlm
    draw: Callable[[FigureRecipe], bytes]

    def plan(self, recipe: FigureRecipe, *, iterations: int, provider: str | None, model: str | None) -> FigureRecipe:
        """The recipe with what the brain has to say. Blocks. Raises VlmError, and FigureError by a drawing."""
        question = Question(SYSTEM, "", None, provider, model)
        match recipe["kind"]:
            case "diagram":
                text = DIAGRAM.format(**_short(recipe, source_context=TEXT, caption=1000))
                return self._plan_figure(recipe, replace(question, text=text), "graph", iterations)
            case "plot":
                text = PLOT.format(**_short(recipe, intent=4000, data_json=DATA))
                return self._plan_figure(recipe, replace(question, text=text), "intent", iterations)
            case "prompt":
                limits = {"prompt": TEXT, "source_context": TEXT, "caption": 1000, "guidelines": TEXT}
                text = PROMPT.format(diagram_type=recipe["diagram_type"].replace("_", " "), **_short(recipe, **limits))
                return {**recipe, "text": self.vlm.ask(replace(question, system=EDITOR, text=text)).strip()}
            case _:
                return recipe

    def _plan_figure(self, recipe: FigureRecipe, question: Question, field: str, iterations: int) -> FigureRecipe:
        """Ask, draw and show, so often as iterations say or until the brain is content."""
        planned = {**recipe, field: _read_plan(self.vlm.ask(question), field)}
        for _ in range(iterations - 1):
            request = LOOK.format(plan=json.dumps({field: planned[field]} if field == "intent" else planned[field]))
            text = f"{question.text}\n\n{request}"
            answer = self.vlm.ask(replace(question, text=text, image=self.draw(planned)))
            if _json_object(answer).get("done") is True:
                break
            planned = {**recipe, field: _read_plan(answer, field)}
        return planned


def _read_plan(answer: str, field: str) -> Any:
    """The graph as JSON, or the intent. Raises VlmError."""
    value = _json_object(answer)
    if field == "intent":
        if not isinstance(value.get("intent"), str):
            raise VlmError("The VLM's answer has no intent")
        return value["intent"][:4000]
    from ..drawing.figures import FigureError
    from ..drawing.figures.diagrams.graph_json import read_graph

    try:
        read_graph(value)
    except FigureError as refused:
        raise VlmError(f"The VLM's answer is no diagram: {refused.message}") from refused
    return value


def _json_object(answer: str) -> dict[str, Any]:
    """The JSON object in an answer, with or without a fence around it. Raises VlmError."""
    begin, end = answer.find("{"), answer.rfind("}")
    try:
        value = json.loads(answer[begin : end + 1]) if begin >= 0 else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise VlmError(f"The VLM's answer is no JSON object: {' '.join(answer.split())[:80]}")
    return value


def _short(recipe: FigureRecipe, **limits: int) -> dict[str, str]:
    return {name: str(recipe[name] or "none")[:most] for name, most in limits.items()}
