"""A model's own API as OpenAPI 3.0, which `expand=openapi-3.0` adds to it.

fal's documents of its models are not held here: this one is made of what the catalogue says a model can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["openapi_document"]

TEXT: dict[str, Any] = {"type": "string"}
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {  # by capability
    "text-to-image": ("prompt", TEXT),
    "text-to-video": ("prompt", TEXT),
    "image-to-image": ("image_url", TEXT),
    "transcription": ("audio_url", TEXT),
    "training": ("images_data_url", TEXT),
    "seed": ("seed", {"type": "integer"}),
    "image-size": ("image_size", TEXT),
    "aspect-ratio": ("aspect_ratio", TEXT),
    "guidance-scale": ("guidance_scale", {"type": "number"}),
    "negative-prompt": ("negative_prompt", TEXT),
    "style": ("style", TEXT),
    "lora": ("loras", {"type": "array", "items": {"type": "object"}}),
    "upscaling": ("scale", {"type": "number", "minimum": 1}),
    "translation": ("task", {"type": "string", "enum": ["transcribe", "translate"]}),
}
REQUIRED = ("prompt", "image_url", "audio_url", "images_data_url")
OUTPUTS = {"text-to-video": "video", "speech-to-text": "text", "training": "lora_file"}


def openapi_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """One POST at https://queue.fal.run/{endpoint_id}."""
    fields = dict(FIELDS[capability] for capability in row["capabilities"])
    configured: Mapping[str, Any] = row["configuration"]
    if "max_images" in configured:
        fields["num_images"] = {"type": "integer", "minimum": 1, "maximum": configured["max_images"]}
    if "default_steps" in configured:
        fields["steps" if row["category"] == "training" else "num_inference_steps"] = {"type": "integer", "minimum": 1}
    body = {"type": "object", "required": [name for name in fields if name in REQUIRED], "properties": fields}
    output = OUTPUTS.get(row["category"], "images")
    shape = {"type": "array", "items": {"type": "object"}} if output == "images" else {}
    response = {"type": "object", "required": [output], "properties": {output: shape}}
    return {
        "openapi": "3.0.4",
        "info": {"title": row["display_name"], "description": row["description"], "version": "1.0.0"},
        "servers": [{"url": "https://queue.fal.run"}],
        "paths": {
            f"/{row['endpoint_id']}": {
                "post": {
                    "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                    "responses": {
                        "200": {"description": "The result.", "content": {"application/json": {"schema": response}}}
                    },
                }
            }
        },
    }
