"""The catalogue, its pages and its prices, as document C names them and as fal's own API does."""

from __future__ import annotations

import pytest

from bananastand.contracts.errors import ProviderError
from bananastand_mocks.falai.models import get_model, list_models
from bananastand_mocks.falai.paging import page
from bananastand_mocks.falai.pricing import get_pricing
from bananastand_mocks.kernel.world import World

IDS = [
    "fal-ai/flux-pro",
    "fal-ai/flux/dev",
    "fal-ai/flux/schnell",
    "fal-ai/flux-2-pro",
    "fal-ai/nano-banana-2",
    "fal-ai/flux-lora",
    "fal-ai/flux-lora-fast-training",
    "fal-ai/fast-sdxl",
    "fal-ai/stable-diffusion-v35-large",
    "fal-ai/recraft-v3",
    "fal-ai/esrgan",
    "fal-ai/kling-video/v1.6/standard/text-to-video",
    "fal-ai/whisper",
    "fal-ai/lcm",
]


@pytest.fixture
def world() -> World:
    return World("test", seed=1)


def ids(answer: dict) -> list[str]:
    return [each["endpoint_id"] for each in answer["models"]]


def test_without_parameters_all_models_are_on_one_page():
    answer = list_models({})
    assert ids(answer) == IDS
    assert (answer["next_cursor"], answer["has_more"]) == (None, False)


def test_search_looks_in_name_and_description_in_any_case():
    assert ids(list_models({"search": "SCHNELL"})) == ["fal-ai/flux/schnell"]
    assert ids(list_models({"search": "speech recognition"})) == ["fal-ai/whisper"]
    assert ids(list_models({"search": "no such model"})) == []


def test_limit_and_offset_cut_a_page():
    answer = list_models({"limit": 2, "offset": 3})
    assert ids(answer) == ["fal-ai/flux-2-pro", "fal-ai/nano-banana-2"]
    assert answer["has_more"] is True


def test_cursors_lead_through_every_model_once():
    seen, parameters = [], {"limit": 5}
    for _ in range(3):
        answer = list_models(parameters)
        seen += ids(answer)
        parameters = {"limit": 5, "cursor": answer["next_cursor"]}
    assert seen == IDS
    assert (answer["next_cursor"], answer["has_more"]) == (None, False)


def test_the_cursor_of_the_second_page_is_unpadded_and_read_padded_too():
    assert list_models({"limit": 5})["next_cursor"] == "Mg"
    assert list_models({"limit": 5, "cursor": "Mg=="}) == list_models({"limit": 5, "cursor": "Mg"})
    assert ids(list_models({"limit": 5, "cursor": "Mg"})) == IDS[5:10]


def test_cursor_and_offset_go_together():
    assert ids(list_models({"limit": 5, "offset": 1, "cursor": "Mg"})) == IDS[6:11]


def test_an_offset_past_the_end_is_an_empty_last_page():
    shown = page(14, {"offset": 99}, 50)
    assert (shown.start, shown.stop, shown.next_cursor) == (14, 14, None)


def test_details_are_the_model_with_capabilities_and_configuration(world: World):
    answer = get_model(world, {"model_id": "fal-ai/flux/schnell"})
    assert answer["metadata"]["display_name"] == "FLUX.1 [schnell]"
    assert answer["metadata"]["model_url"] == "https://fal.run/fal-ai/flux/schnell"
    assert answer["capabilities"] == ["text-to-image", "seed", "image-size"]
    assert answer["configuration"]["default_steps"] == 4


def test_an_unknown_model_is_not_found(world: World):
    with pytest.raises(ProviderError, match="not_found"):
        get_model(world, {"model_id": "fal-ai/none"})
    with pytest.raises(ProviderError, match="not_found"):
        get_pricing(world, {"model_id": "fal-ai/none"})


def test_pricing_of_one_model(world: World):
    assert get_pricing(world, {"model_id": "fal-ai/flux/dev"}) == {
        "prices": [
            {
                "endpoint_id": "fal-ai/flux/dev",
                "unit_price": 0.025,
                "unit": "megapixels",
                "currency": "USD",
                "cost_per_request": 0.025,
                "usage_tiers": [
                    {"from_quantity": 0, "unit_price": 0.025},
                    {"from_quantity": 10_000, "unit_price": 0.0225},
                ],
                "billing": {"model": "pay_per_use", "period": "month"},
            }
        ],
        "next_cursor": None,
        "has_more": False,
    }


def test_pricing_without_a_model_is_of_all_models(world: World):
    assert [each["endpoint_id"] for each in get_pricing(world, {})["prices"]] == IDS
