import base64
import os
from io import BytesIO

from PIL import Image

MODEL_ID = os.environ.get("MODEL_ID")
PIPELINES = {"StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"}


def init():
    global loaded
    loaded = MODEL_ID


def inference(all_inputs):
    model_inputs = all_inputs.get("modelInputs", None)
    call_inputs = all_inputs.get("callInputs", None)
    if model_inputs == None or call_inputs == None:
        return {"$error": {"code": "INPUTS_MISSING", "message": "modelInputs and callInputs are required"}}
    if call_inputs.get("MODEL_ID", loaded) != loaded:
        return {"$error": {"code": "MODEL_MISMATCH", "message": loaded + " is loaded"}}
    if call_inputs.get("PIPELINE") not in PIPELINES:
        return {"$error": {"code": "NO_SUCH_PIPELINE"}}
    size = (model_inputs.get("width", 64), model_inputs.get("height", 64))
    buffered = BytesIO()
    Image.new("RGB", size, (240, 200, 20)).save(buffered, format="PNG")
    return {"image_base64": base64.b64encode(buffered.getvalue()).decode(), "$meta": {"MODEL_ID": loaded}}
