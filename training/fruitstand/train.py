"""Draws the pictures, trains the three networks one after the other and writes the pipeline folder.

`python -m training.fruitstand.train` does everything; started again, it goes on where it stopped. Each stage keeps
its result in --runs: pictures, vae/, text.safetensors, latents.pt, state.pt and loss.jsonl (denoiser).

The autoencoder learns in rounds, each with its rate falling to nothing. A last round, once the denoiser is done,
sharpens the decoder alone, which leaves the latents as the denoiser knows them.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DPMSolverMultistepScheduler, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import nn

from . import autoencoder, dataset, denoiser, text

HERE = Path(__file__).parent
FLOW_SHIFT = 3.0  # above 1 puts more of the steps where there is more noise
WEIGHTS = HERE.parents[1] / "models" / "fruitstand"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="working folder (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="pipeline folder to write (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=60_000, help="training pictures (default: %(default)s)")
    parser.add_argument("--autoencoder-minutes", type=float, nargs="+", default=[3.0, 9.0], help="of each round")
    parser.add_argument("--decoder-minutes", type=float, default=5.0, help="of the decoder's last round")
    parser.add_argument("--text-minutes", type=float, default=2.0)
    parser.add_argument("--minutes", type=float, default=263.0, help="of the denoiser (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="of the denoiser (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="compile the denoiser (needs a C++ compiler)")
    options = parser.parse_args()
    runs: Path = options.runs

    pictures, scenes = dataset.prepare(runs, options.pictures, options.seed + 1)
    for number, minutes in enumerate(options.autoencoder_minutes):
        _once(runs / f"autoencoder-{number}.done", lambda n=number, m=minutes: _round(pictures, options, n, m))
    vae = AutoencoderTiny.from_pretrained(runs / "vae").to(options.device)
    if not (runs / "latents.pt").exists():
        scaled = autoencoder.encode(vae, pictures, options.device) * vae.config.scaling_factor
        torch.save(scaled.half(), runs / "latents.pt")
    latents = torch.load(runs / "latents.pt", weights_only=True).float()

    tokenizer = text.tokenizer(runs / "tokenizer")
    if not (runs / "text.safetensors").exists():
        learned = text.pretrain(tokenizer, minutes=options.text_minutes, seed=options.seed, device=options.device)
        save_file({k: v.contiguous() for k, v in learned.state_dict().items()}, runs / "text.safetensors")
    encoder = text.encoder(tokenizer)
    encoder.load_state_dict(load_file(runs / "text.safetensors"))

    plan = denoiser.Plan(
        minutes=options.minutes,
        seed=options.seed,
        device=options.device,
        batch=options.batch,
        compile=options.compile,
    )
    networks = denoiser.train(latents, scenes, tokenizer, encoder, runs, plan)
    _once(runs / "decoder.done", lambda: _round(pictures, options, 99, options.decoder_minutes, "decoder"))
    export(options.out, AutoencoderTiny.from_pretrained(runs / "vae"), tokenizer, networks)


def _once(mark: Path, work: Callable[[], object]) -> None:
    """Do `work` unless an earlier run did; `mark` says so."""
    if not mark.exists():
        work()
        mark.touch()


def _round(pictures: np.ndarray, options: argparse.Namespace, number: int, minutes: float, part: str = "") -> None:
    autoencoder.train(
        pictures, options.runs / "vae", minutes=minutes, seed=options.seed + number, device=options.device, part=part
    )


def export(folder: Path, vae: AutoencoderTiny, tokenizer, networks: dict[str, nn.Module]) -> None:
    """Write the pipeline in diffusers' folder layout, fp16, and print its digests for the card."""
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=FLOW_SHIFT,
        solver_order=1,  # the second order overshoots in few steps: guidance 2.5 at four of them loses a third
        steps_offset=1,  # unused here; the pipeline warns of any other
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=networks["text"],
        tokenizer=tokenizer,
        unet=networks["unet"],
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
    print("[files]")
    for path in sorted(folder.rglob("*.safetensors")):
        print(f'"{path.relative_to(folder)}" = "sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"')


if __name__ == "__main__":
    main()
