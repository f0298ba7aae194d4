import io
import json
import math
import struct
import wave

import tornado.ioloop
import tornado.web


class Health(tornado.web.RequestHandler):
    def get(self):
        self.write({"state": "healthy"})


class Speak(tornado.web.RequestHandler):
    def post(self):
        inputs = json.loads(self.request.body)
        frames = 800 * len(inputs["text"])
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            tone = (struct.pack("<h", int(8000 * math.sin(at * 0.3))) for at in range(frames))
            sound.writeframes(b"".join(tone))
        self.set_header("Content-Type", "audio/wav")
        self.set_header("X-Seconds", str(frames / 8000))
        self.write(buffer.getvalue())


if __name__ == "__main__":
    tornado.web.Application([("/healthcheck", Health), ("/", Speak)]).listen(8000)
    tornado.ioloop.IOLoop.current().start()
