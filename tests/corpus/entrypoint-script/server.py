import argparse
import os

from flask import Flask, request

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--greeting", default="hello")
options = parser.parse_args()
server = Flask(__name__)


@server.get("/healthcheck")
def healthcheck():
    return {"state": "healthy", "started": os.path.exists("cache/started")}


@server.post("/")
def greet():
    return {"text": options.greeting + " " + request.json["name"] + os.environ["GREETING_MARK"]}


server.run(host="0.0.0.0", port=options.port)
