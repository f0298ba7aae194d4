"""Model cards: what the parser takes, and how it says what it does not take."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

import bananastand
from bananastand.diffusion.model_file import (
    CardError,
    EngineOptions,
    Guidance,
    Images,
    Size,
    Steps,
    find_card,
    list_cards,
    models_folder,
    read_card,
)

LOCAL = """\
name = "pear"
path = "pear"
pipeline = "StableDiffusionPipeline"
licence = "Apache-2.0"
memory_gb = 1
[dtype]
cpu = "float32"
cuda = "float16"
[steps]
default = 10
max = 50
[size]
default = [128, 64]
multiple_of = 8
max = [256, 128]
[guidance]
default = 4
max = 20.0
[images]
max = 4
"""
HUB = LOCAL.replace('path = "pear"', 'repo = "fruit/pear"\nrevision = "v1"')


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder, from which the tests are run, so that messages name `pear.toml` alone."""
    monkeypatch.setenv("BANANASTAND_MODELS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(models: Path, text: str, name: str = "pear") -> Path:
    path = models / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(models: Path, old: str, new: str, card: str = LOCAL) -> str:
    """What is said of a card in which `old` was replaced."""
    assert old in card
    with pytest.raises(CardError) as caught:
        read_card(write(models, card.replace(old, new, 1)))
    return str(caught.value)


def test_a_local_card(models: Path) -> None:
    card = read_card(write(models, LOCAL))
    assert card.name == "pear"
    assert card.source == models / "pear.toml"
    assert card.path == models / "pear"
    assert (card.repo, card.revision, card.variant) == (None, None, None)
    assert (card.pipeline, card.licence, card.memory_gb) == ("StableDiffusionPipeline", "Apache-2.0", 1.0)
    assert (card.gated, card.note) == (False, "")
    assert card.steps == Steps(default=10, max=50)
    assert card.size == Size(default=(128, 64), multiple_of=8, max=(256, 128), min=(8, 8))
    assert card.guidance == Guidance(default=4.0, max=20.0)
    assert card.images == Images(max=4)
    assert card.engine == EngineOptions(exact_rows=1)
    assert card.files == {}


def test_a_hub_card_with_everything_optional(models: Path) -> None:
    text = HUB.replace("memory_gb", 'gated = true\nnote = "n"\nvariant = "fp16"\nmemory_gb')
    text = text.replace("multiple_of = 8", "multiple_of = 8\nmin = [64, 64]")
    text += f'[engine]\nexact_rows = 4\n[files]\n"unet/a.safetensors" = "sha256:{"0" * 64}"\n'
    card = read_card(write(models, text))
    assert (card.path, card.repo, card.revision, card.variant) == (None, "fruit/pear", "v1", "fp16")
    assert (card.gated, card.note) == (True, "n")
    assert card.size.min == (64, 64)
    assert card.engine == EngineOptions(exact_rows=4)
    assert card.files == {"unet/a.safetensors": "sha256:" + "0" * 64}


def test_cards_can_be_keys_of_a_dictionary(models: Path) -> None:
    path = write(models, LOCAL)
    assert {read_card(path): 1}[read_card(path)] == 1


def test_the_precision_follows_the_device(models: Path) -> None:
    card = read_card(write(models, LOCAL))
    assert card.dtype_for("cpu") == "float32"
    assert card.dtype_for("cuda") == "float16"
    assert card.dtype_for("mps") == "float16"
    assert card.dtype_for("xpu") == "float32"
    bare = read_card(write(models, LOCAL.replace('[dtype]\ncpu = "float32"\ncuda = "float16"\n', "")))
    assert bare.dtype_for("mps") == "float32"
    own = read_card(write(models, LOCAL.replace("[steps]", 'mps = "bfloat16"\n[steps]')))
    assert own.dtype_for("mps") == "bfloat16"


# Every complaint names file, line and key.


def test_an_unknown_key_in_a_table(models: Path) -> None:
    said = complaint(models, "max = 50", "maximum = 50")
    assert said == "pear.toml:11: steps.maximum: unknown key; known keys are default, max"


def test_an_unknown_key_at_the_top(models: Path) -> None:
    said = complaint(models, "licence", "license")
    assert said.startswith("pear.toml:4: license: unknown key; known keys are name, path, repo, revision,")


def test_an_unknown_table(models: Path) -> None:
    assert complaint(models, "[images]", "[pictures]").startswith("pear.toml:19: pictures: unknown key;")


def test_an_unknown_key_in_an_inline_table(models: Path) -> None:
    said = complaint(models, "[steps]\ndefault = 10\nmax = 50\n", "").replace("pear.toml", "")
    assert said == ": steps: missing; it must be a table"
    said = complaint(models, "memory_gb = 1\n", "memory_gb = 1\nsteps = {default = 1, most = 2}\n", HUB_NO_STEPS)
    assert said == "pear.toml:7: steps.most: unknown key; known keys are default, max"


HUB_NO_STEPS = HUB.replace("[steps]\ndefault = 10\nmax = 50\n", "")


def test_a_missing_key_in_a_table_names_the_table(models: Path) -> None:
    said = complaint(models, "default = 10\n", "")
    assert said == "pear.toml:9: steps.default: missing; it must be a whole number"


def test_a_missing_key_at_the_top_has_no_line(models: Path) -> None:
    assert complaint(models, 'pipeline = "StableDiffusionPipeline"\n', "") == (
        "pear.toml: pipeline: missing; it must be a string"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("default = 10", "default = true", "pear.toml:10: steps.default: must be a whole number, not True"),
        ("default = 10", "default = 10.0", "pear.toml:10: steps.default: must be a whole number, not 10.0"),
        ("default = 10", "default = 0", "pear.toml:10: steps.default: must be at least 1, not 0"),
        ("max = 50", "max = 5", "pear.toml:11: steps.max: is 5, less than the default, 10"),
        ("default = 4", 'default = "4"', "pear.toml:17: guidance.default: must be a number, not '4'"),
        ("default = 4", "default = nan", "pear.toml:17: guidance.default: must be a number, not nan"),
        ("default = 4", "default = -1", "pear.toml:17: guidance.default: must be 0 or more, not -1"),
        ("max = 20.0", "max = 3", "pear.toml:18: guidance.max: is 3, less than the default, 4"),
        ("max = 4\n", "max = 0\n", "pear.toml:20: images.max: must be at least 1, not 0"),
        ("memory_gb = 1", "memory_gb = 0", "pear.toml:5: memory_gb: must be above 0, not 0"),
        ("memory_gb = 1", "memory_gb = false", "pear.toml:5: memory_gb: must be a number, not False"),
        ("memory_gb = 1", "memory_gb = 1\ngated = 1", "pear.toml:6: gated: must be true or false, not 1"),
        ("[steps]", "[[steps]]", "pear.toml: steps: must be a table, not [{'default': 10, 'max': 50}]"),
        ('"Apache-2.0"', '""', "pear.toml:4: licence: must not be empty; leave the key out instead"),
        (
            'name = "pear"',
            'name = "apple"',
            "pear.toml:1: name: is 'apple', but the file is pear.toml; they must agree",
        ),
        (
            '"StableDiffusionPipeline"',
            '"Stable Diffusion"',
            "pear.toml:3: pipeline: must be a diffusers pipeline class, not 'Stable Diffusion'",
        ),
        (
            'cuda = "float16"',
            'cuda = "half"',
            "pear.toml:8: dtype.cuda: must be one of float32, float16, bfloat16, not 'half'",
        ),
        ('cuda = "float16"', 'gpu = "float16"', "pear.toml:8: dtype.gpu: unknown key; known keys are cpu, cuda, mps"),
    ],
)
def test_a_value_of_the_wrong_kind_or_range(models: Path, old: str, new: str, said: str) -> None:
    assert complaint(models, old, new) == said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[128, 64]", "[128, 60]", "13: size.default: must be positive multiples of 8 (multiple_of), not [128, 60]"),
        ("[256, 128]", "[256, 100]", "15: size.max: must be positive multiples of 8 (multiple_of), not [256, 100]"),
        ("[256, 128]", "[256, 56]", "15: size.max: is [256, 56], less than the default, [128, 64]"),
        ("[256, 128]", "256", "15: size.max: must be [width, height] in whole pixels, not 256"),
        ("[256, 128]", "[256]", "15: size.max: must be [width, height] in whole pixels, not [256]"),
        ("[256, 128]", "[256, true]", "15: size.max: must be [width, height] in whole pixels, not [256, True]"),
        ("max = [256, 128]\n", "", "12: size.max: must be [width, height] in whole pixels, not None"),
        ("multiple_of = 8", "multiple_of = 0", "14: size.multiple_of: must be at least 1, not 0"),
        ("max = [", "min = [128, 128]\nmax = [", "15: size.min: is [128, 128], more than the default, [128, 64]"),
        ("max = [", "min = [0, 8]\nmax = [", "15: size.min: must be positive multiples of 8 (multiple_of), not [0, 8]"),
    ],
)
def test_a_size_that_cannot_be(models: Path, old: str, new: str, said: str) -> None:
    assert complaint(models, old, new) == f"pear.toml:{said}"


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "pear/../..", ".", "a\\\\b"])
def test_a_path_must_stay_in_the_models_folder(models: Path, path: str) -> None:
    said = complaint(models, 'path = "pear"', f'path = "{path}"')
    assert said.startswith("pear.toml:2: path: must be a folder inside the card's own, not ")


def test_a_card_has_a_path_or_a_repo(models: Path) -> None:
    assert complaint(models, 'path = "pear"\n', "") == "pear.toml: path: exactly one of path and repo must be set"
    both = complaint(models, 'path = "pear"', 'path = "pear"\nrepo = "fruit/pear"\nrevision = "v1"')
    assert both == "pear.toml:2: path: exactly one of path and repo must be set"


def test_a_repo_has_a_revision_and_a_path_has_none(models: Path) -> None:
    without = complaint(models, 'revision = "v1"\n', "", HUB)
    assert without == "pear.toml: revision: missing; it must be a string"
    with_one = complaint(models, 'path = "pear"', 'path = "pear"\nrevision = "v1"')
    assert with_one == "pear.toml:3: revision: belongs to a repo; a local folder has none"


def test_a_repo_is_owner_and_name(models: Path) -> None:
    assert complaint(models, "fruit/pear", "pear", HUB) == "pear.toml:2: repo: must be owner/name, not 'pear'"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('"unet/a" = "sha256:abc"', "unet/a: must be 'sha256:' and 64 hexadecimal digits, not 'sha256:abc'"),
        ('"unet/a" = 1', "unet/a: must be 'sha256:' and 64 hexadecimal digits, not 1"),
        (f'"../a" = "sha256:{"0" * 64}"', "../a: must be a path inside the model's folder"),
    ],
)
def test_a_digest_that_is_none(models: Path, entry: str, said: str) -> None:
    assert complaint(models, "max = 4\n", f"max = 4\n[files]\n{entry}\n") == f"pear.toml:22: files.{said}"


def test_broken_toml_names_the_line(models: Path) -> None:
    said = complaint(models, "max = 50", "max = ")
    assert said.startswith("pear.toml:11: not valid TOML: ")


def test_a_card_that_cannot_be_read(models: Path) -> None:
    with pytest.raises(CardError, match=r"apple\.toml: cannot be read: "):
        find_card("apple.toml")


# Finding cards


def test_cards_are_found_by_name_and_by_file(models: Path) -> None:
    path = write(models, LOCAL)
    assert find_card("pear") == find_card(str(path))


def test_cards_are_listed_by_name(models: Path) -> None:
    write(models, LOCAL)
    write(models, LOCAL.replace('name = "pear"', 'name = "apple"'), "apple")
    assert [card.name for card in list_cards()] == ["apple", "pear"]


def test_an_unknown_name_is_answered_with_the_known_and_the_close_ones(models: Path) -> None:
    write(models, LOCAL)
    write(models, LOCAL.replace('name = "pear"', 'name = "quince"'), "quince")
    with pytest.raises(CardError) as caught:
        find_card("pearl")
    assert str(caught.value) == "unknown model 'pearl': did you mean pear? known models are pear, quince"
    with pytest.raises(CardError) as caught:
        find_card("x")
    assert str(caught.value) == "unknown model 'x': known models are pear, quince"


def test_a_models_folder_that_is_not_there(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANANASTAND_MODELS", str(models / "none"))
    with pytest.raises(CardError, match="there is no models folder .*none; BANANASTAND_MODELS names one"):
        list_cards()


def test_a_checkout_has_its_models_beside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANANASTAND_MODELS", raising=False)
    assert models_folder() == Path(bananastand.__file__).resolve().parent.parent / "models"


# What is here already


def put_model(folder: Path) -> None:
    """Just enough of a pipeline in diffusers' layout."""
    (folder / "unet").mkdir(parents=True)
    (folder / "unet/a.safetensors").write_bytes(b"")
    index = {"_class_name": "X", "flag": True, "unet": ["diffusers", "Y"], "image_encoder": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))


def test_a_local_model_is_here_when_its_files_are(models: Path) -> None:
    text = LOCAL + f'[files]\n"unet/a.safetensors" = "sha256:{"0" * 64}"\n'
    card = read_card(write(models, text))
    assert not card.fetched
    put_model(models / "pear")
    assert card.fetched
    assert card.local_folder() == models / "pear"
    (models / "pear/unet/a.safetensors").unlink()
    assert card.local_folder() is None


def test_a_hub_model_is_here_when_its_snapshot_is_whole(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(models / "cache"))
    card = read_card(write(models, HUB))
    assert card.local_folder() is None
    storage = models / "cache/models--fruit--pear"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs/v1").write_text("abc")
    put_model(storage / "snapshots/abc")
    assert card.local_folder() == storage / "snapshots/abc"
    assert card.fetched
    (storage / "snapshots/abc/unet/a.safetensors").unlink()
    (storage / "snapshots/abc/unet").rmdir()
    assert not card.fetched


def test_reading_cards_needs_neither_torch_nor_diffusers_nor_the_hub() -> None:
    code = (
        "import sys; from bananastand.diffusion.model_file import list_cards; assert list_cards();"
        "print(sorted({'torch', 'diffusers', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    root = Path(bananastand.__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The cards that ship, one test each


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANANASTAND_MODELS", raising=False)


def test_exactly_these_cards_ship(shipped: None) -> None:
    names = ["flux1-dev", "flux1-schnell", "fruitstand", "sd15", "sd35-medium", "sdxl-base", "sdxl-turbo"]
    assert [card.name for card in list_cards()] == names


def test_fruitstand(shipped: None) -> None:
    card = find_card("fruitstand")
    assert card.path == models_folder() / "fruitstand"
    assert (card.pipeline, card.licence, card.gated) == ("StableDiffusionPipeline", "Apache-2.0", False)
    assert (card.dtype_for("cpu"), card.dtype_for("cuda")) == ("float32", "float16")


def test_sd15(shipped: None) -> None:
    card = find_card("sd15")
    assert (card.repo, card.variant) == ("stable-diffusion-v1-5/stable-diffusion-v1-5", "fp16")
    assert card.revision == "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    assert (card.pipeline, card.gated) == ("StableDiffusionPipeline", False)
    assert (card.size.default, card.steps.default, card.guidance.default) == ((512, 512), 50, 7.5)
    assert (card.dtype_for("cpu"), card.dtype_for("cuda"), card.dtype_for("mps")) == ("float32", "float16", "float16")


def test_sdxl_base(shipped: None) -> None:
    card = find_card("sdxl-base")
    assert (card.repo, card.variant) == ("stabilityai/stable-diffusion-xl-base-1.0", "fp16")
    assert card.revision == "462165984030d82259a11f4367a4eed129e94a7b"
    assert (card.pipeline, card.gated) == ("StableDiffusionXLPipeline", False)
    assert (card.size.default, card.steps.default, card.guidance.default) == ((1024, 1024), 50, 5.0)
    assert card.dtype_for("cuda") == "float16"


def test_sdxl_turbo(shipped: None) -> None:
    card = find_card("sdxl-turbo")
    assert (card.repo, card.variant) == ("stabilityai/sdxl-turbo", "fp16")
    assert card.revision == "71153311d3dbb46851df1931d3ca6e939de83304"
    assert (card.pipeline, card.gated) == ("StableDiffusionXLPipeline", False)
    assert (card.size.default, card.steps, card.guidance) == ((512, 512), Steps(1, 4), Guidance(0.0, 1.0))
    assert card.dtype_for("cuda") == "float16"


def test_sd35_medium(shipped: None) -> None:
    card = find_card("sd35-medium")
    assert (card.repo, card.variant) == ("stabilityai/stable-diffusion-3.5-medium", None)
    assert card.revision == "b940f670f0eda2d07fbb75229e779da1ad11eb80"
    assert (card.pipeline, card.gated) == ("StableDiffusion3Pipeline", True)
    assert (card.size.default, card.steps.default, card.guidance.default) == ((1024, 1024), 40, 4.5)
    assert card.dtype_for("cuda") == "bfloat16"


def test_flux1_schnell(shipped: None) -> None:
    card = find_card("flux1-schnell")
    assert (card.repo, card.variant) == ("black-forest-labs/FLUX.1-schnell", None)
    assert card.revision == "741f7c3ce8b383c54771c7003378a50191e9efe9"
    assert (card.pipeline, card.licence, card.gated) == ("FluxPipeline", "Apache-2.0", True)
    assert (card.size.default, card.steps, card.guidance) == ((1024, 1024), Steps(4, 4), Guidance(0.0, 1.0))
    assert card.dtype_for("cuda") == "bfloat16"


def test_flux1_dev(shipped: None) -> None:
    card = find_card("flux1-dev")
    assert (card.repo, card.variant) == ("black-forest-labs/FLUX.1-dev", None)
    assert card.revision == "3de623fc3c33e44ffbe2bad470d0f45bccf2eb21"
    assert (card.pipeline, card.gated) == ("FluxPipeline", True)
    assert (card.size.default, card.steps.default, card.guidance.default) == ((1024, 1024), 50, 3.5)
    assert card.dtype_for("cuda") == "bfloat16"
