from huggingface_hub import hf_hub_download


def download_model():
    for name in ["model_index.json", "scheduler/scheduler_config.json", "unet/config.json"]:
        hf_hub_download("runwayml/stable-diffusion-v1-5", name)


if __name__ == "__main__":
    download_model()
