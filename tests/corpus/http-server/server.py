import json
from http.server import BaseHTTPRequestHandler, HTTPServer

VOWELS = set(open("weights/vowels.txt").read())


class Handler(BaseHTTPRequestHandler):
    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/healthcheck":
            return self.reply(200, {"state": "healthy"})
        self.reply(404, {"error": "nothing here"})

    def do_POST(self):
        inputs = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "text" not in inputs:
            return self.reply(422, {"error": "text is missing"})
        self.reply(200, {"vowels": sum(letter in VOWELS for letter in inputs["text"].lower())})


if __name__ == "__main__":
    HTTPServer(("", 8000), Handler).serve_forever()
