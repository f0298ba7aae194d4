import json
import urllib.request

from flask import Flask, jsonify, request

app = Flask(__name__)


def ask(text):
    with urllib.request.urlopen("http://127.0.0.1:5005/", text.encode()) as answer:
        return json.load(answer)


@app.route("/healthcheck")
def healthcheck():
    return jsonify(ask("a"))


@app.route("/", methods=["POST"])
def run():
    return jsonify(ask(request.get_json(force=True)["text"]))


app.run(host="0.0.0.0", port=8000)
