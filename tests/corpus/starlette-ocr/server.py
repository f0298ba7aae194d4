import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

GLYPHS = {"|||": "m", "||": "n", "|": "i", "o": "o"}


async def healthcheck(request):
    return JSONResponse({"state": "healthy"})


async def read(request):
    inputs = await request.json()
    letters = [GLYPHS.get(each, "?") for each in inputs["strokes"]]
    return JSONResponse({"text": "".join(letters), "lines": 1})


async def about(request):
    return PlainTextResponse("reads strokes")


app = Starlette(
    routes=[
        Route("/healthcheck", healthcheck),
        Route("/", read, methods=["POST"]),
        Route("/about", about, methods=["GET"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run("server:app", host="0.0.0.0", port=8000)
