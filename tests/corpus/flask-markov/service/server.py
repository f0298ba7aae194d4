import json
import subprocess

from flask import Flask, jsonify, request

table = json.load(open("table.json"))
server = Flask(__name__)


@server.route("/healthcheck")
def healthcheck():
    gpu = subprocess.run("nvidia-smi", shell=True).returncode == 0
    return jsonify({"state": "healthy", "gpu": gpu})


@server.route("/", methods=["POST"])
def generate():
    inputs = request.get_json()
    words = [inputs["prompt"]]
    while len(words) < inputs.get("max_words", 4) and words[-1] in table:
        words.append(table[words[-1]][0])
    return jsonify({"output": " ".join(words)})


if __name__ == "__main__":
    server.run(host="0.0.0.0", port=8000)
