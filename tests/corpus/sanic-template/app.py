import json


def init():
    global model
    with open("lexicon.json") as file:
        model = json.load(file)


def inference(model_inputs: dict) -> dict:
    global model
    prompt = model_inputs.get("prompt", None)
    if prompt == None:
        return {"message": "No prompt provided"}
    score = sum(model.get(word, 0) for word in prompt.lower().split())
    return {"label": "POSITIVE" if score >= 0 else "NEGATIVE", "score": score}
