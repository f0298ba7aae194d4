import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor


def init():
    global model, processor
    model = CLIPModel.from_pretrained("openai/clip-vit-base-patch32")
    processor = CLIPProcessor.from_pretrained("openai/clip-vit-base-patch32")


def inference(model_inputs):
    image = Image.new("RGB", (32, 32), tuple(model_inputs["colour"]))
    candidates = model_inputs["candidates"]
    inputs = processor(text=candidates, images=image, return_tensors="pt", padding=True)
    with torch.no_grad():
        shares = model(**inputs).logits_per_image.softmax(dim=1)[0].tolist()
    return {"count": len(shares), "sum": round(sum(shares), 3)}
