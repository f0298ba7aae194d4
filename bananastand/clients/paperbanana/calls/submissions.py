"""Figures and texts that PaperBanana is asked for; each call returns a task."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Literal

from ...request import ClientRequest, without_none
from ..models import (
    AspectRatio,
    Endpoint,
    Format,
    Health,
    ImageModel,
    ImageResolution,
    Submitted,
    VlmProvider,
)

__all__ = [
    "create_composite",
    "create_diagram",
    "create_diagram_from_pdf",
    "create_plot",
    "get_health",
    "optimize_prompt",
]


def get_health() -> ClientRequest[Health]:
    """Return the service's status and version; needs no key.

    Source: D:66-85.

    Raises:
        ServerError: 500: the service is in trouble.
    """
    return ClientRequest(Health, "GET", "/api/health", unsigned=True)


def create_diagram(
    source_context: str,
    caption: str,
    *,
    iterations: int | None = None,
    aspect_ratio: AspectRatio | None = None,
    output_formats: Sequence[Literal["png"]] | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    image_model: ImageModel | None = None,
    image_resolution: ImageResolution | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> ClientRequest[Submitted]:
    """Submit a methodology figure, drawn from a text.

    Source: D:87-207.

    Args:
        source_context: Text that the figure shows.
        caption: Caption of the figure.
        iterations: Rounds of drawing and criticism, 1 to 10; 3 by default.
        aspect_ratio: Width to height, or auto.
        output_formats: Only png for diagrams.
        vlm_provider: Provider of the planning model.
        vlm_model: Name of the planning model.
        image_model: Name of the image model.
        image_resolution: 1K, 2K or 4K.
        webhook_url: URL that the finished task is posted to; without one, the key's own.
        webhook_include_image: Put the picture into the webhook's body as base64.

    Returns:
        The task that was accepted.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        source_context=source_context,
        caption=caption,
        iterations=iterations,
        aspect_ratio=aspect_ratio,
        output_formats=output_formats,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        image_model=image_model,
        image_resolution=image_resolution,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("generate", body)


def create_diagram_from_pdf(
    pdf: bytes | str,
    caption: str,
    *,
    pages: str | None = None,
    iterations: int | None = None,
    aspect_ratio: AspectRatio | None = None,
    output_formats: Sequence[Literal["png"]] | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    image_model: ImageModel | None = None,
    image_resolution: ImageResolution | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> ClientRequest[Submitted]:
    """Submit a methodology figure, drawn from a paper.

    Source: D:209-287.

    Args:
        pdf: The PDF's bytes, or their base64.
        caption: Caption of the figure.
        pages: Pages to read, such as "1-3,5"; all by default.
        iterations: Rounds of drawing and criticism, 1 to 10; 3 by default.
        aspect_ratio: Width to height, or auto.
        output_formats: Only png for diagrams.
        vlm_provider: Provider of the planning model.
        vlm_model: Name of the planning model.
        image_model: Name of the image model.
        image_resolution: 1K, 2K or 4K.
        webhook_url: URL that the finished task is posted to; without one, the key's own.
        webhook_include_image: Put the picture into the webhook's body as base64.

    Returns:
        The task that was accepted.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        pdf_base64=pdf if isinstance(pdf, str) else base64.b64encode(pdf).decode(),
        caption=caption,
        pages=pages,
        iterations=iterations,
        aspect_ratio=aspect_ratio,
        output_formats=output_formats,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        image_model=image_model,
        image_resolution=image_resolution,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("generate-from-pdf", body)


def optimize_prompt(
    description: str,
    *,
    source_context: str | None = None,
    caption: str | None = None,
    diagram_type: Literal["methodology", "statistical_plot"] | None = None,
    guidelines: str | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> ClientRequest[Submitted]:
    """Submit a figure's description to be rewritten; the result is text.

    Source: D:289-348.

    Args:
        description: Text to rewrite.
        source_context: Text that the figure shows.
        caption: Caption of the figure.
        diagram_type: Kind of figure; methodology by default.
        guidelines: Wishes for the figure.
        vlm_provider: Provider of the planning model.
        vlm_model: Name of the planning model.
        webhook_url: URL that the finished task is posted to; without one, the key's own.
        webhook_include_image: Put the picture into the webhook's body as base64.

    Returns:
        The task that was accepted.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        description=description,
        source_context=source_context,
        caption=caption,
        diagram_type=diagram_type,
        guidelines=guidelines,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("optimize-prompt", body)


def create_plot(
    data_json: Any,
    intent: str,
    *,
    iterations: int | None = None,
    aspect_ratio: AspectRatio | None = None,
    output_formats: Sequence[Format] | None = None,
    vlm_provider: VlmProvider | None = None,
    vlm_model: str | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> ClientRequest[Submitted]:
    """Submit a plot of data.

    Source: D:350-438.

    Args:
        data_json: The data, as JSON text or as values that become JSON.
        intent: What the plot is to show.
        iterations: Rounds of drawing and criticism, 1 to 10; 3 by default.
        aspect_ratio: Width to height, or auto.
        output_formats: Any of png, svg and pdf.
        vlm_provider: Provider of the planning model.
        vlm_model: Name of the planning model.
        webhook_url: URL that the finished task is posted to; without one, the key's own.
        webhook_include_image: Put the picture into the webhook's body as base64.

    Returns:
        The task that was accepted.

    Raises:
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        data_json=data_json if isinstance(data_json, str) else json.dumps(data_json, allow_nan=False),
        intent=intent,
        iterations=iterations,
        aspect_ratio=aspect_ratio,
        output_formats=output_formats,
        vlm_provider=vlm_provider,
        vlm_model=vlm_model,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("plot", body)


def create_composite(
    source_task_ids: Sequence[str],
    *,
    layout: str | None = None,
    labels: Sequence[str] | None = None,
    spacing: int | None = None,
    label_position: Literal["top", "bottom"] | None = None,
    label_font_size: int | None = None,
    webhook_url: str | None = None,
    webhook_include_image: bool | None = None,
) -> ClientRequest[Submitted]:
    """Submit a figure made of the pictures of completed tasks.

    Source: D:440-503.

    Args:
        source_task_ids: Ids of two or more completed tasks.
        layout: "auto", or rows by columns such as "2x3".
        labels: A label for each picture.
        spacing: Pixels between pictures, 0 to 2000; 20 by default.
        label_position: Labels above or below the pictures; below by default.
        label_font_size: 1 to 400; 32 by default.
        webhook_url: URL that the finished task is posted to; without one, the key's own.
        webhook_include_image: Put the picture into the webhook's body as base64.

    Returns:
        The task that was accepted.

    Raises:
        NotFoundError: 404: there is no task of that name or id.
        AuthenticationError: 401: the key is unknown or revoked.
        PermissionDeniedError: 403: the key's quota is used up, or it is inactive.
        UnprocessableError: 422: an argument does not fit.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(
        source_task_ids=list(source_task_ids),
        layout=layout,
        labels=labels,
        spacing=spacing,
        label_position=label_position,
        label_font_size=label_font_size,
        webhook_url=webhook_url,
        webhook_include_image=webhook_include_image,
    )
    return _submit("composite", body)


def _submit(endpoint: Endpoint, body: dict[str, object]) -> ClientRequest[Submitted]:
    return ClientRequest(Submitted, "POST", f"/api/{endpoint}", json=body)
