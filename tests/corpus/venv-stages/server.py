from flask import Flask, jsonify, request

app = Flask(__name__)
TAGS = {"yellow": "banana", "red": "apple", "green": "pear"}


@app.route("/healthcheck")
def healthcheck():
    return jsonify(state="healthy", gpu=False)


@app.route("/", methods=["POST"])
def tag():
    words = request.get_json(force=True).get("caption", "").split()
    return jsonify(tags=sorted({TAGS[word] for word in words if word in TAGS}))
