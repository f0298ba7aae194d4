from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline


def download_model():
    name = "runwayml/stable-diffusion-v1-5"
    scheduler = DPMSolverMultistepScheduler.from_pretrained(name, subfolder="scheduler")
    StableDiffusionPipeline.from_pretrained(name, scheduler=scheduler)


if __name__ == "__main__":
    download_model()
