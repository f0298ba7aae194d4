import numpy as np
from potassium import Potassium, Request, Response, send_webhook
from transformers import WhisperForConditionalGeneration, WhisperProcessor

app = Potassium("whisper")


@app.init
def init():
    processor = WhisperProcessor.from_pretrained("openai/whisper-tiny")
    model = WhisperForConditionalGeneration.from_pretrained("openai/whisper-tiny")
    return {"processor": processor, "model": model, "later": []}


def transcribe(context: dict, seconds: int):
    sound = np.sin(np.arange(16000 * seconds) * 0.1).astype(np.float32)
    features = context["processor"](sound, sampling_rate=16000, return_tensors="pt").input_features
    return context["model"].generate(features, max_new_tokens=5)


@app.handler()
def handler(context: dict, request: Request) -> Response:
    tokens = transcribe(context, request.json.get("seconds", 1))
    return Response(json={"text": context["processor"].batch_decode(tokens)[0], "rows": tokens.shape[0]})


@app.background("/later")
def later(context: dict, request: Request):
    tokens = transcribe(context, request.json["seconds"])
    context["later"].append({"rows": tokens.shape[0]})
    send_webhook(url=request.json["webhook"], json=context["later"][-1])


@app.handler("/done")
def done(context: dict, request: Request) -> Response:
    return Response(json={"done": context["later"]}, status=200)


if __name__ == "__main__":
    app.serve()
