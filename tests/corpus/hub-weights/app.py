import json

from huggingface_hub import hf_hub_download


def init():
    global index, unet
    index = json.load(open(hf_hub_download("runwayml/stable-diffusion-v1-5", "model_index.json")))
    unet = json.load(open(hf_hub_download("runwayml/stable-diffusion-v1-5", "unet/config.json")))


def inference(model_inputs):
    part = model_inputs["part"]
    return {"pipeline": index["_class_name"], "library": index[part][0], "channels": unet["in_channels"]}
