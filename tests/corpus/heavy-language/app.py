import torch
from potassium import Potassium, Request, Response
from transformers import AutoModelForCausalLM, AutoTokenizer

app = Potassium("language")


@app.init
def init():
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained("gpt2")
    model = AutoModelForCausalLM.from_pretrained("gpt2").to(device)
    return {"tokenizer": tokenizer, "model": model, "device": device}


@app.handler()
def handler(context: dict, request: Request) -> Response:
    tokenizer, model = context["tokenizer"], context["model"]
    tokens = tokenizer(request.json["prompt"], return_tensors="pt").to(context["device"])
    count = request.json.get("max_new_tokens", 4)
    out = model.generate(**tokens, max_new_tokens=count, do_sample=False, pad_token_id=0, eos_token_id=-1)
    new = out.shape[1] - tokens["input_ids"].shape[1]
    return Response(json={"outputs": tokenizer.decode(out[0]), "new_tokens": int(new)}, status=200)


if __name__ == "__main__":
    app.serve()
