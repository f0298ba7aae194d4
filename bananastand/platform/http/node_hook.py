"""A module for Node's --require that redirects Banana's host names to the platform. Node itself ignores HTTPS_PROXY.

Every connection of Node's own libraries (http, https, fetch) and of packages goes through one function of net.Socket.
TLS is verified against the requested name.
"""

from __future__ import annotations

import json
from pathlib import Path

from .run_hosts import API_HOSTS, RUN_DOMAIN

__all__ = ["node_options", "write_node_hook"]

HOOK = """// Redirects Banana's host names to Bananastand: node --require THIS_FILE program.js
"use strict";
const net = require("net");
const places = %s;
const names = new Set(%s);
const domain = %s;
const connect = net.Socket.prototype.connect;

function isBananas(host) {
  const name = String(host || "").toLowerCase().replace(/\\.$/, "");
  return names.has(name) || name.endsWith(domain);
}

net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (options && typeof options === "object" && isBananas(options.host)) {
    const place = places[Number(options.port)];
    if (place) {
      const redirected = { ...options, host: place[0], port: place[1] };
      if (Array.isArray(args[0])) args[0][0] = redirected;
      else args[0] = redirected;
    }
  } else if (isBananas(args[1]) && places[Number(options)]) {
    [args[1], args[0]] = places[Number(options)];
  }
  return connect.apply(this, args);
};
"""


def write_node_hook(folder: Path, plain: tuple[str, int], secure: tuple[str, int]) -> Path:
    """Write the module.

    Args:
        folder: The folder for the file.
        plain: Host and port where the platform answers without TLS, in place of port 80.
        secure: Host and port where the proxy answers with TLS, in place of port 443.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / "node.cjs"
    places = json.dumps({80: plain, 443: secure})
    path.write_text(HOOK % (places, json.dumps(API_HOSTS), json.dumps(f".{RUN_DOMAIN}")))
    return path


def node_options(hook: Path) -> str:
    """Return the value of NODE_OPTIONS that loads the module; its path is in double quotes, as it may have spaces."""
    quoted = str(hook).replace("\\", "\\\\").replace('"', '\\"')
    return f'--require="{quoted}"'
