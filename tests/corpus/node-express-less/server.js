const http = require("http");
const weights = require("./weights.json");

const send = (res, status, value) => {
  res.writeHead(status, { "Content-Type": "application/json" });
  res.end(JSON.stringify(value));
};

http
  .createServer((req, res) => {
    if (req.method === "GET" && req.url === "/healthcheck") return send(res, 200, { state: "healthy" });
    if (req.method !== "POST") return send(res, 405, { error: "POST only" });
    let body = "";
    req.on("data", (chunk) => (body += chunk));
    req.on("end", () => {
      const inputs = JSON.parse(body);
      send(res, 200, { caption: `a ${inputs.colour} ${weights[inputs.colour] || "thing"}` });
    });
  })
  .listen(8000, "0.0.0.0", () => console.log("listening on 8000"));
