"""An app as Banana's first template had it: port 8000, GET /healthcheck, POST / with the model's inputs as its body."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def inference(model_inputs: dict) -> dict:
    prompt = model_inputs.get("prompt")
    if prompt is None:
        return {"message": "No prompt provided"}
    words = len(prompt.split())
    if "temperature" in model_inputs:  # a language model, as LangChain calls it
        return {"outputs": f"{words} words: {prompt} STOP and no further"}
    return {"words": words, "inputs": model_inputs}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200 if self.path == "/healthcheck" else 404, {"state": "healthy", "gpu": False})

    def do_POST(self) -> None:
        model_inputs = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.answer(200, inference(model_inputs))

    def answer(self, status: int, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
