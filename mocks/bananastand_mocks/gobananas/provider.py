"""Go Bananas! at its own address: keys, tenant, headers, error envelope."""

from __future__ import annotations

from pathlib import Path

from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.ids import Ids
from ..kernel.limits import Allowance
from ..kernel.provider import Credential, Provider
from ..kernel.world import World
from ..kernel.worlds import Kind
from . import characters, files, gallery, generation, images, presets, profile, sessions, uploads, usage
from .errors import MINUTE, render
from .pictures import DrawnPictures, Pictures
from .seeds import fill
from .state import BUCKET, tenant

__all__ = ["KEY", "GoBananasProvider"]

PREFIXES = ("sk_live_", "sk_test_")
PUBLIC = "get_public_file"


def _mint(ids: Ids) -> str:
    return f"sk_live_{ids.letters(32)}"


KEY = Credential("gobananas", "sk_live_bananastand", _mint, other="sk_live_other")


class GoBananasProvider(Provider):
    """gobananas, at /gobananas."""

    name = "gobananas"
    mount = "/gobananas"
    hosts = {"gobananasai.com": "/gobananas", "www.gobananasai.com": "/gobananas"}
    contract_file = Path(__file__).with_name("openapi.yaml")
    title = "Go Bananas!"
    summary = "Images, gallery, sessions, usage, characters, style presets; the gallery as a page at /gobananas/gallery"
    max_body = 28 * 2**20  # a picture of 20 MB, as base64
    parse_first = False
    credentials = (KEY,)
    endpoints = {
        "get_profile": profile.get_profile,
        "create_image": generation.create_image,
        "continue_image": generation.continue_image,
        "upload_image": uploads.upload_image,
        "upload_for_editing": uploads.upload_for_editing,
        "list_images": images.list_images,
        "get_image": images.get_image,
        "delete_image": images.delete_image,
        "delete_images": images.delete_images,
        "list_sessions": sessions.list_sessions,
        "get_session": sessions.get_session,
        "get_usage": usage.get_usage,
        "list_characters": characters.list_characters,
        "create_character": characters.create_character,
        "get_character": characters.get_character,
        "update_character": characters.update_character,
        "delete_character": characters.delete_character,
        "list_style_presets": presets.list_style_presets,
        "create_style_preset": presets.create_style_preset,
        "delete_style_preset": presets.delete_style_preset,
        "get_file": files.get_file,
        "get_public_file": files.get_public_file,
        "show_gallery": gallery.show_gallery,
    }

    def __init__(self, pictures: Pictures | None = None) -> None:
        self.resources = {"pictures": pictures or DrawnPictures()}

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """X-API-Key or a bearer (B:9-15); a public file's bucket is its own key, the gallery page needs none."""
        if call.operation.id == PUBLIC:
            return BUCKET, call.path["bucket"]
        if call.operation.id == "show_gallery":
            return None
        key = call.headers.get("x-api-key", "")
        scheme, _, bearer = call.headers.get("authorization", "").partition(" ")
        if not key and scheme.lower() == "bearer":
            key = bearer.strip()
        if not key.startswith(PREFIXES):
            raise ProviderError("unauthorized")
        return KEY.kind, key

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """The envelope; a public file under an unknown bucket is not found."""
        if call is not None and call.operation.id == PUBLIC and problem.condition == "unknown_credential":
            problem = Problem("not_found")
        if call is None:
            return render(problem, 0.0)
        return render(problem, call.allowance.reset if call.allowance else call.world.clock.now() + MINUTE)

    def fill(self, world: World, kind: Kind) -> None:
        """Adds tenant, settings, the default rate limit, and by kind of world some images."""
        fill(world, kind)

    def subject(self, call: ApiCall) -> str | None:
        """The tenant (B:367); what needs no key is not counted."""
        return tenant(call.world)["tenantId"] if call.credential and call.operation.id != PUBLIC else None

    def limit_headers(self, allowance: Allowance) -> dict[str, str]:
        """What is left of the minute, and when the next begins (B:371-375)."""
        return {
            "x-ratelimit-remaining": str(allowance.remaining),
            "x-ratelimit-reset": str(int(allowance.reset)),
        }
