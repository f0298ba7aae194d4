from sanic import Sanic, response

import app as user_src

server = Sanic("launcher")


@server.get("/healthcheck")
def healthcheck(request):
    return response.json({"state": "healthy", "gpu": False})


@server.post("/")
def inference(request):
    return response.json(user_src.inference(request.json))


if __name__ == "__main__":
    user_src.init()
    server.run(host="0.0.0.0", port=8000, workers=1)
