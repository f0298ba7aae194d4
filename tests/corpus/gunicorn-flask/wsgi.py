import hashlib

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/healthcheck")
def healthcheck():
    return "OK"


@app.post("/")
def embed():
    text = request.json["text"]
    digest = hashlib.sha256(text.encode()).digest()
    return jsonify(embedding=[round(each / 255, 4) for each in digest[:8]], dimensions=8)
