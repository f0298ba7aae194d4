import os

from flask import Flask, request

# Written for an image, where everything lies at the root
WEIGHTS = [int(line) for line in open("/weights.txt")]
server = Flask(__name__)


@server.route("/healthcheck")
def healthcheck():
    return {"state": "healthy"}


@server.route("/", methods=["POST"])
def weigh():
    values = request.json["values"]
    copied = open("/models/tiny/weights.txt").read().split()
    os.makedirs("/outputs", exist_ok=True)
    with open("/outputs/last.txt", "w") as file:
        file.write(str(values))
    return {"sum": sum(a * b for a, b in zip(WEIGHTS, values)), "copied": copied, "kept": os.listdir("/outputs")}


if __name__ == "__main__":
    server.run("0.0.0.0", 8000)
