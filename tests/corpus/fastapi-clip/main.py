from typing import List

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
tower = None


class Inputs(BaseModel):
    image_words: str
    candidates: List[str]


@app.on_event("startup")
def load():
    global tower
    tower = np.load("text_tower.npy")


@app.get("/healthcheck")
def healthcheck():
    return {"state": "healthy"}


def embed(text):
    letters = [ord(letter) - 97 for letter in text.lower() if letter.isalpha()]
    summed = tower[letters].sum(axis=0)
    return summed / np.linalg.norm(summed)


@app.post("/")
def classify(inputs: Inputs):
    image = embed(inputs.image_words)
    scores = [float(image @ embed(each)) for each in inputs.candidates]
    return {"best": inputs.candidates[int(np.argmax(scores))], "scores": scores}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=8000)
