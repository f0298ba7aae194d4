# A web UI of somebody else: it takes the port it is told and speaks its own API.
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        inputs = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"images": [inputs["prompt"][::-1]], "parameters": inputs}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
