"""Model files: what is accepted, and what each error says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

import bananastand
from bananastand.diffusion.model_file import Guidance, Images, ModelFileError, Size, Steps, read_model_file
from bananastand.diffusion.model_folder import find_model, list_models, models_folder

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


def complaint(models: Path, old: str, new: str, text: str = LOCAL) -> str:
    """Return the error about a model file in which `old` was replaced."""
    assert old in text
    with pytest.raises(ModelFileError) as caught:
        read_model_file(write(models, text.replace(old, new, 1)))
    return str(caught.value)


def test_a_local_model(models: Path) -> None:
    model = read_model_file(write(models, LOCAL))
    assert model.name == "pear"
    assert model.source == models / "pear.toml"
    assert model.path == models / "pear"
    assert (model.repo, model.revision, model.variant) == (None, None, None)
    assert (model.pipeline, model.licence, model.memory_gb) == ("StableDiffusionPipeline", "Apache-2.0", 1.0)
    assert (model.gated, model.note) == (False, "")
    assert model.steps == Steps(default=10, max=50)
    assert model.size == Size(default=(128, 64), multiple_of=8, max=(256, 128), min=(8, 8))
    assert model.guidance == Guidance(default=4.0, max=20.0)
    assert model.images == Images(max=4)
    assert model.engine.exact_batch_size == 1
    assert model.files == {}


def test_a_hub_model_with_everything_optional(models: Path) -> None:
    text = HUB.replace("memory_gb", 'gated = true\nnote = "n"\nvariant = "fp16"\nmemory_gb')
    text = text.replace("multiple_of = 8", "multiple_of = 8\nmin = [64, 64]")
    text += f'[engine]\nexact_rows = 4\n[files]\n"unet/a.safetensors" = "sha256:{"0" * 64}"\n'
    model = read_model_file(write(models, text))
    assert (model.path, model.repo, model.revision, model.variant) == (None, "fruit/pear", "v1", "fp16")
    assert (model.gated, model.note) == (True, "n")
    assert model.size.min == (64, 64)
    assert model.engine.exact_batch_size == 4
    assert model.files == {"unet/a.safetensors": "sha256:" + "0" * 64}


def test_model_files_can_be_keys_of_a_dictionary(models: Path) -> None:
    path = write(models, LOCAL)
    assert {read_model_file(path): 1}[read_model_file(path)] == 1


def test_the_precision_follows_the_device(models: Path) -> None:
    model = read_model_file(write(models, LOCAL))
    assert model.dtype_for("cpu") == "float32"
    assert model.dtype_for("cuda") == "float16"
    assert model.dtype_for("mps") == "float16"
    assert model.dtype_for("xpu") == "float32"
    bare = read_model_file(write(models, LOCAL.replace('[dtype]\ncpu = "float32"\ncuda = "float16"\n', "")))
    assert bare.dtype_for("mps") == "float32"
    own = read_model_file(write(models, LOCAL.replace("[steps]", 'mps = "bfloat16"\n[steps]')))
    assert own.dtype_for("mps") == "bfloat16"


# Every error names file, line and key.


def test_an_unknown_key_in_a_table(models: Path) -> None:
    message = complaint(models, "max = 50", "maximum = 50")
    assert message == "pear.toml:11: steps.maximum: unknown key; known keys are default, max"


def test_an_unknown_key_at_the_top(models: Path) -> None:
    message = complaint(models, "licence", "license")
    assert message.startswith("pear.toml:4: license: unknown key; known keys are name, path, repo, revision,")


def test_an_unknown_table(models: Path) -> None:
    assert complaint(models, "[images]", "[pictures]").startswith("pear.toml:19: pictures: unknown key;")


def test_an_unknown_key_in_an_inline_table(models: Path) -> None:
    message = complaint(models, "[steps]\ndefault = 10\nmax = 50\n", "").replace("pear.toml", "")
    assert message == ": steps: missing; it must be a table"
    message = complaint(models, "memory_gb = 1\n", "memory_gb = 1\nsteps = {default = 1, most = 2}\n", HUB_NO_STEPS)
    assert message == "pear.toml:7: steps.most: unknown key; known keys are default, max"


HUB_NO_STEPS = HUB.replace("[steps]\ndefault = 10\nmax = 50\n", "")


def test_a_missing_key_in_a_table_names_the_table(models: Path) -> None:
    message = complaint(models, "default = 10\n", "")
    assert message == "pear.toml:9: steps.default: missing; it must be a whole number"


def test_a_missing_key_at_the_top_has_no_line(models: Path) -> None:
    assert complaint(models, 'pipeline = "StableDiffusionPipeline"\n', "") == (
        "pear.toml: pipeline: missing; it must be a string"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
def test_a_value_of_the_wrong_kind_or_range(models: Path, old: str, new: str, message: str) -> None:
    assert complaint(models, old, new) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
def test_a_size_that_cannot_be(models: Path, old: str, new: str, message: str) -> None:
    assert complaint(models, old, new) == f"pear.toml:{message}"


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "pear/../..", ".", "a\\\\b"])
def test_a_path_must_stay_in_the_models_folder(models: Path, path: str) -> None:
    message = complaint(models, 'path = "pear"', f'path = "{path}"')
    assert message.startswith("pear.toml:2: path: must be a folder inside the card's own, not ")


def test_a_model_file_has_a_path_or_a_repo(models: Path) -> None:
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
    ("entry", "message"),
    [
        ('"unet/a" = "sha256:abc"', "unet/a: must be 'sha256:' and 64 hexadecimal digits, not 'sha256:abc'"),
        ('"unet/a" = 1', "unet/a: must be 'sha256:' and 64 hexadecimal digits, not 1"),
        (f'"../a" = "sha256:{"0" * 64}"', "../a: must be a path inside the model's folder"),
    ],
)
def test_a_digest_that_is_none(models: Path, entry: str, message: str) -> None:
    assert complaint(models, "max = 4\n", f"max = 4\n[files]\n{entry}\n") == f"pear.toml:22: files.{message}"


def test_broken_toml_names_the_line(models: Path) -> None:
    message = complaint(models, "max = 50", "max = ")
    assert message.startswith("pear.toml:11: not valid TOML: ")


def test_a_model_file_that_cannot_be_read(models: Path) -> None:
    with pytest.raises(ModelFileError, match=r"apple\.toml: cannot be read: "):
        find_model("apple.toml")


# Finding model files


def test_model_files_are_found_by_name_and_by_file(models: Path) -> None:
    path = write(models, LOCAL)
    assert find_model("pear") == find_model(str(path))


def test_model_files_are_listed_by_name(models: Path) -> None:
    write(models, LOCAL)
    write(models, LOCAL.replace('name = "pear"', 'name = "apple"'), "apple")
    assert [model.name for model in list_models()] == ["apple", "pear"]


def test_an_unknown_name_is_answered_with_the_known_and_the_close_ones(models: Path) -> None:
    write(models, LOCAL)
    write(models, LOCAL.replace('name = "pear"', 'name = "quince"'), "quince")
    with pytest.raises(ModelFileError) as caught:
        find_model("pearl")
    assert str(caught.value) == "unknown model 'pearl': did you mean pear? known models are pear, quince"
    with pytest.raises(ModelFileError) as caught:
        find_model("x")
    assert str(caught.value) == "unknown model 'x': known models are pear, quince"


def test_a_models_folder_that_is_not_there(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANANASTAND_MODELS", str(models / "none"))
    with pytest.raises(ModelFileError, match="there is no models folder .*none; BANANASTAND_MODELS names one"):
        list_models()


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
    model = read_model_file(write(models, text))
    assert not model.fetched
    put_model(models / "pear")
    assert model.fetched
    assert model.local_folder() == models / "pear"
    (models / "pear/unet/a.safetensors").unlink()
    assert model.local_folder() is None


def test_a_hub_model_is_here_when_its_snapshot_is_whole(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(models / "cache"))
    model = read_model_file(write(models, HUB))
    assert model.local_folder() is None
    storage = models / "cache/models--fruit--pear"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs/v1").write_text("abc")
    put_model(storage / "snapshots/abc")
    assert model.local_folder() == storage / "snapshots/abc"
    assert model.fetched
    (storage / "snapshots/abc/unet/a.safetensors").unlink()
    (storage / "snapshots/abc/unet").rmdir()
    assert not model.fetched


def test_reading_model_files_needs_neither_torch_nor_diffusers_nor_the_hub() -> None:
    code = (
        "import sys; from bananastand.diffusion.model_folder import list_models; assert list_models();"
        "print(sorted({'torch', 'diffusers', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    root = Path(bananastand.__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The models that ship, one test each


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANANASTAND_MODELS", raising=False)


def test_exactly_these_models_ship(shipped: None) -> None:
    names = ["flux1-dev", "flux1-schnell", "fruitstand", "sd15", "sd35-medium", "sdxl-base", "sdxl-turbo"]
    assert [model.name for model in list_models()] == names


def test_fruitstand(shipped: None) -> None:
    model = find_model("fruitstand")
    assert model.path == models_folder() / "fruitstand"
    assert (model.pipeline, model.licence, model.gated) == ("StableDiffusionPipeline", "Apache-2.0", False)
    assert (model.dtype_for("cpu"), model.dtype_for("cuda")) == ("float32", "float16")


def test_sd15(shipped: None) -> None:
    model = find_model("sd15")
    assert (model.repo, model.variant) == ("stable-diffusion-v1-5/stable-diffusion-v1-5", "fp16")
    assert model.revision == "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"
    assert (model.pipeline, model.gated) == ("StableDiffusionPipeline", False)
    assert (model.size.default, model.steps.default, model.guidance.default) == ((512, 512), 50, 7.5)
    assert (model.dtype_for("cpu"), model.dtype_for("cuda"), model.dtype_for("mps")) == (
        "float32",
        "float16",
        "float16",
    )


def test_sdxl_base(shipped: None) -> None:
    model = find_model("sdxl-base")
    assert (model.repo, model.variant) == ("stabilityai/stable-diffusion-xl-base-1.0", "fp16")
    assert model.revision == "462165984030d82259a11f4367a4eed129e94a7b"
    assert (model.pipeline, model.gated) == ("StableDiffusionXLPipeline", False)
    assert (model.size.default, model.steps.default, model.guidance.default) == ((1024, 1024), 50, 5.0)
    assert model.dtype_for("cuda") == "float16"


def test_sdxl_turbo(shipped: None) -> None:
    model = find_model("sdxl-turbo")
    assert (model.repo, model.variant) == ("stabilityai/sdxl-turbo", "fp16")
    assert model.revision == "71153311d3dbb46851df1931d3ca6e939de83304"
    assert (model.pipeline, model.gated) == ("StableDiffusionXLPipeline", False)
    assert (model.size.default, model.steps, model.guidance) == (
        (512, 512),
        Steps(default=1, max=4),
        Guidance(default=0.0, max=1.0),
    )
    assert model.dtype_for("cuda") == "float16"


def test_sd35_medium(shipped: None) -> None:
    model = find_model("sd35-medium")
    assert (model.repo, model.variant) == ("stabilityai/stable-diffusion-3.5-medium", None)
    assert model.revision == "b940f670f0eda2d07fbb75229e779da1ad11eb80"
    assert (model.pipeline, model.gated) == ("StableDiffusion3Pipeline", True)
    assert (model.size.default, model.steps.default, model.guidance.default) == ((1024, 1024), 40, 4.5)
    assert model.dtype_for("cuda") == "bfloat16"


def test_flux1_schnell(shipped: None) -> None:
    model = find_model("flux1-schnell")
    assert (model.repo, model.variant) == ("black-forest-labs/FLUX.1-schnell", None)
    assert model.revision == "741f7c3ce8b383c54771c7003378a50191e9efe9"
    assert (model.pipeline, model.licence, model.gated) == ("FluxPipeline", "Apache-2.0", True)
    assert (model.size.default, model.steps, model.guidance) == (
        (1024, 1024),
        Steps(default=4, max=4),
        Guidance(default=0.0, max=1.0),
    )
    assert model.dtype_for("cuda") == "bfloat16"


def test_flux1_dev(shipped: None) -> None:
    model = find_model("flux1-dev")
    assert (model.repo, model.variant) == ("black-forest-labs/FLUX.1-dev", None)
    assert model.revision == "3de623fc3c33e44ffbe2bad470d0f45bccf2eb21"
    assert (model.pipeline, model.gated) == ("FluxPipeline", True)
    assert (model.size.default, model.steps.default, model.guidance.default) == ((1024, 1024), 50, 3.5)
    assert model.dtype_for("cuda") == "bfloat16"
