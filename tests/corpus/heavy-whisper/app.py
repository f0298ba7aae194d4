import numpy as np
from potassium import Potassium, Request, Response
from transformers import WhisperForConditionalGeneration, WhisperProcessor

app = Potassium("whisper")


@app.init
def init():
    processor = WhisperProcessor.from_pretrained("openai/whisper-tiny")
    model = WhisperForConditionalGeneration.from_pretrained("openai/whisper-tiny")
    return {"processor": processor, "model": model}


@app.handler()
def handler(context: dict, request: Request) -> Response:
    seconds = request.json.get("seconds", 1)
    sound = np.sin(np.arange(16000 * seconds) * 0.1).astype(np.float32)
    features = context["processor"](sound, sampling_rate=16000, return_tensors="pt").input_features
    tokens = context["model"].generate(features, max_new_tokens=5)
    return Response(json={"text": context["processor"].batch_decode(tokens)[0], "rows": tokens.shape[0]})


if __name__ == "__main__":
    app.serve()
