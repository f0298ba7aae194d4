"""Stage two: the tokenizer, and a CLIP text encoder that first learns to tell the parts of a caption apart.

The lesson is six small classifiers over the last word's state. They are thrown away; what stays is an encoder whose
states already keep the fruit's colour apart from the background's when the denoiser begins.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import torch
from rich.progress import Progress
from tokenizers import pre_tokenizers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .scenes import COLOURS, FRUITS, Scene, caption, decorated, foreign, random_scene, vocabulary

TOKENS = 32  # of a prompt at most, begin and end included
WIDTH = 128
START, END = "<|startoftext|>", "<|endoftext|>"

ATTRIBUTES: dict[str, tuple[object, ...]] = {
    "count": (1, 2, 3),
    "size": ("small", "large"),
    "colour": COLOURS,
    "fruit": FRUITS,
    "position": ("left", "right", "top", "bottom", "centre"),
    "background": COLOURS,
}


def tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer whose merges make each word of the grammar one token; any other text falls to letters.

    What `folder` holds is kept: the networks of an earlier run know its numbers.
    """
    if not (folder / "tokenizer_config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        merges = _merges(vocabulary())
        # CLIP spells all else with the symbols of its byte alphabet, within a word and at its end.
        symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = dict.fromkeys([*symbols, *(f"{s}</w>" for s in symbols), *(a + b for a, b in merges), START, END])
        ids = {word: i for i, word in enumerate(words)}
        (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in merges)]) + "\n")
        vocab, rules = str(folder / "vocab.json"), str(folder / "merges.txt")
        CLIPTokenizer(vocab=vocab, merges=rules, model_max_length=TOKENS).save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges until each word is one symbol: always the commonest pair, of equals the first by letters.

    The tokenizers library's own trainer breaks ties differently in each run.
    """
    spelled = [[*word[:-1], f"{word[-1]}</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for word in spelled for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word in spelled:
            for i in range(len(word) - 2, -1, -1):
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = ["".join(best)]
    return merges


def tokens(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids as StableDiffusionPipeline makes them: int64, shape (N, TOKENS)."""
    return tokenizer(texts, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt").input_ids


def encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            hidden_act="gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _said(scene: Scene, text: str) -> list[int]:
    """For each attribute the index of its value, or the index after the last where the caption leaves it open."""
    words = set(text.replace(",", " ").split())
    ground = f"{scene.background} background" in text
    fruit = not words & {"fruit", "fruits"}
    counted = bool(words & {"one", "two", "three", "1", "2", "3"}) or (
        scene.count == 1 and not words & {"grapes", "cherries"} or bool(words & {"bunch"})
    )
    coloured = text.replace(f"{scene.background} background", "")
    spoken = {
        "count": counted,
        "size": bool(words & {"small", "little", "tiny", "large", "big"}),
        "colour": f"{scene.colour} " in f"{coloured} " and not _noun_only(scene, coloured),
        "fruit": fruit,
        "position": bool(words & {"left", "right", "top", "bottom", "centre", "center", "middle"}),
        "background": ground,
    }
    return [values.index(getattr(scene, name)) if spoken[name] else len(values) for name, values in ATTRIBUTES.items()]


def _noun_only(scene: Scene, text: str) -> bool:
    """True where the word orange is there once, as the fruit."""
    return scene.fruit == "orange" == scene.colour and text.split().count("orange") < (2 if scene.count == 1 else 1)


def pretrain(tokenizer: CLIPTokenizer, *, minutes: float, seed: int, device: str, batch: int = 256) -> CLIPTextModel:
    """Teach the encoder the six attributes for `minutes` of wall time."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = encoder(tokenizer).to(device).train()
    heads = nn.ModuleList(nn.Linear(WIDTH, len(values) + 1) for values in ATTRIBUTES.values()).to(device)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    started, step, right = time.monotonic(), 0, torch.zeros(len(heads))
    with Progress() as progress:
        bar = progress.add_task("text encoder", total=minutes * 60)
        while (spent := time.monotonic() - started) < minutes * 60:
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * min(1.0, (step + 1) / 100) * max(0.02, 1 - spent / (minutes * 60))
            texts, labels = [], []
            for _ in range(batch):
                scene = random_scene(rng)  # words alone: held-out scenes teach nothing of pictures
                text = decorated(caption(scene, rng), rng)
                texts.append(text)
                labels.append(_said(scene, text))
            for i in range(batch // 16):
                texts[i], labels[i] = foreign(rng), [len(values) for values in ATTRIBUTES.values()]
            ids, labels_tensor = tokens(tokenizer, texts).to(device), torch.tensor(labels, device=device)
            states = model(ids).last_hidden_state
            last = states[torch.arange(batch), (ids == tokenizer.eos_token_id).int().argmax(1)]
            scores = [head(last) for head in heads]
            loss = sum(nn.functional.cross_entropy(s, labels_tensor[:, i]) for i, s in enumerate(scores))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            right = torch.tensor(
                [float((s.argmax(1) == labels_tensor[:, i]).float().mean()) for i, s in enumerate(scores)]
            )
            step += 1
            if step % 50 == 0:
                progress.update(bar, completed=spent)
                print(f"text step {step} {spent:.0f}s loss {loss.item():.4f} right {right.min():.3f}", flush=True)
    return model
