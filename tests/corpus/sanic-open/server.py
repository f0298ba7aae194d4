import traceback

from sanic import Sanic, response

import app as user_src

user_src.init()
server = Sanic("painter")


@server.route("/healthcheck", methods=["GET"])
def healthcheck(request):
    return response.json({"state": "healthy", "gpu": False})


@server.route("/", methods=["POST"])
def inference(request):
    try:
        return response.json(user_src.inference(request.json))
    except Exception as error:
        trace = traceback.format_exc()
        return response.json({"$error": {"name": type(error).__name__, "stack": trace}}, status=500)


if __name__ == "__main__":
    server.run(host="0.0.0.0", port=8000, workers=1)
