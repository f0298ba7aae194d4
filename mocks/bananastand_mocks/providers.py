"""Builds the providers by name; a provider is imported when it is built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bananadev.runtime import Runtime
    from .kernel.provider import Provider
    from .paperbanana.vlm import Vlm

__all__ = ["NAMES", "build"]

NAMES = ("bananadev", "falai", "banana-native", "fal-native", "gobananas", "paperbanana")


def build(
    names: Sequence[str] = NAMES,
    *,
    runtime: Runtime | None = None,
    webhooks: Iterable[str] = (),
    images: str | None = None,
    vlm: Vlm | None = None,
) -> list[Provider]:
    """Build providers; those of Banana.dev share one runtime.

    Args:
        names: Of `NAMES`.
        runtime: What runs Banana.dev's models; by default they are pretended.
        webhooks: Addresses beside this machine's that PaperBanana may post to.
        images: The address of a Potassium app that paints the images of Go Bananas!; by default they are drawn.
        vlm: The language model that says what PaperBanana's figures show; by default rules read the texts.

    Raises:
        ValueError: There is no provider of one of the names.
    """
    if {"bananadev", "banana-native"} & set(names) and runtime is None:
        from .bananadev.runtime import InstantRuntime

        runtime = InstantRuntime()
    return [_build_one(name, runtime, webhooks, images, vlm) for name in names]


def _build_one(
    name: str, runtime: Runtime | None, webhooks: Iterable[str], images: str | None, vlm: Vlm | None
) -> Provider:
    match name:
        case "bananadev":
            from .bananadev import BananaDevUpstream
            from .lowcodeapi.gateway import Gateway

            return Gateway(BananaDevUpstream(runtime))
        case "falai":
            from .falai import FalAIUpstream
            from .lowcodeapi.gateway import Gateway

            return Gateway(FalAIUpstream())
        case "banana-native":
            from .bananadev import BananaDev

            return BananaDev(runtime)
        case "fal-native":
            from .falai import FalAIProvider

            return FalAIProvider()
        case "gobananas":
            from .gobananas import GoBananasProvider

            if images is None:
                return GoBananasProvider()
            from .gobananas.app_pictures import AppPictures

            return GoBananasProvider(AppPictures(images))
        case "paperbanana":
            from .paperbanana import PaperBananaProvider

            return PaperBananaProvider(webhooks=webhooks, vlm=vlm)
        case _:
            raise ValueError(f"there is no provider {name}; there are {', '.join(NAMES)}")
