from sanic import Sanic, response

import app as user_src

user_src.init()
server = Sanic("img2img")
server.config.REQUEST_MAX_SIZE = 20 * 1024 * 1024


@server.get("/healthcheck")
def healthcheck(request):
    return response.json({"state": "healthy", "gpu": False})


@server.post("/")
def inference(request):
    return response.json(user_src.inference(request.json))


if __name__ == "__main__":
    server.run(host="0.0.0.0", port=8000, workers=1, access_log=False)
