// A websocket by hand in Node: short text frames come back in capitals. No package.
const crypto = require("crypto");
const http = require("http");

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const server = http.createServer((req, res) => {
  res.writeHead(req.url === "/healthcheck" ? 200 : 404);
  res.end("{}");
});

server.on("upgrade", (req, socket) => {
  if (req.url !== "/upper") {
    const body = "no websocket here";
    socket.end(`HTTP/1.1 404 Not Found\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
    return;
  }
  const accept = crypto.createHash("sha1").update(req.headers["sec-websocket-key"] + MAGIC).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.on("error", () => {});
  socket.on("data", (data) => {
    if ((data[0] & 15) === 8) return socket.end(Buffer.from([0x88, 0]));
    const mask = data.subarray(2, 6);
    const text = Buffer.from(data.subarray(6, 6 + (data[1] & 127)).map((byte, at) => byte ^ mask[at % 4]));
    const answer = Buffer.from(text.toString().toUpperCase());
    socket.write(Buffer.concat([Buffer.from([0x81, answer.length]), answer]));
  });
});

server.listen(8000, "0.0.0.0");
