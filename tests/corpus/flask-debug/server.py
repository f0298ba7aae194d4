import random

from flask import Flask, jsonify, request

app = Flask(__name__)
WORDS = ["yellow", "ripe", "sweet", "curved", "soft"]


@app.route("/healthcheck", methods=["GET"])
def healthcheck():
    return jsonify({"state": "healthy", "gpu": False})


@app.route("/", methods=["POST"])
def inference():
    inputs = request.get_json(force=True)
    generator = random.Random(inputs.get("seed", 0))
    words = [generator.choice(WORDS) for _ in range(inputs.get("max_length", 5))]
    return jsonify({"output": inputs["prompt"] + " " + " ".join(words), "tokens": len(words)})


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8000, debug=True)
