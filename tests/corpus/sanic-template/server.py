# The http server. The model is in app.py: init() once, inference() for every call.
import subprocess

from sanic import Sanic, response

import app as user_src

# Loads the model before the server is up, so that calls find it
user_src.init()

server = Sanic("my_app")


@server.route("/healthcheck", methods=["GET"])
def healthcheck(request):
    gpu = subprocess.run("nvidia-smi", shell=True).returncode == 0
    return response.json({"state": "healthy", "gpu": gpu})


@server.route("/", methods=["POST"])
def inference(request):
    try:
        model_inputs = response.json.loads(request.json)
    except:
        model_inputs = request.json
    return response.json(user_src.inference(model_inputs))


if __name__ == "__main__":
    server.run(host="0.0.0.0", port="8000", workers=1)
