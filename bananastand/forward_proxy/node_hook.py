"""A module for Node's --require that redirects the served host names. Node before version 24 ignores HTTPS_PROXY.

Every connection of Node's own libraries (http, https, fetch) and of packages goes through one function of net.Socket.
TLS is verified against the requested name.
"""

from __future__ import annotations

import json
from pathlib import Path

from .host_names import HostNames

__all__ = ["node_options", "write_node_hook"]

HOOK = """// Redirects host names to Bananastand: node --require THIS_FILE program.js
"use strict";
const net = require("net");
const places = %s;
const names = new Set(%s);
const parents = %s;
const connect = net.Socket.prototype.connect;

function isServed(host) {
  const name = String(host || "").toLowerCase().replace(/\\.$/, "");
  return names.has(name) || parents.some((parent) => name.endsWith(parent));
}

net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (options && typeof options === "object" && isServed(options.host)) {
    const place = places[Number(options.port)];
    if (place) {
      const redirected = { ...options, host: place[0], port: place[1] };
      if (Array.isArray(args[0])) args[0][0] = redirected;
      else args[0] = redirected;
    }
  } else if (isServed(args[1]) && places[Number(options)]) {
    [args[1], args[0]] = places[Number(options)];
  }
  return connect.apply(this, args);
};
"""


def write_node_hook(folder: Path, names: HostNames, plain: tuple[str, int], secure: tuple[str, int]) -> Path:
    """Write the module.

    Args:
        folder: The folder for the file.
        names: The names to redirect.
        plain: Host and port where the server answers without TLS, in place of port 80.
        secure: Host and port where the proxy answers with TLS, in place of port 443.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / "node.cjs"
    places = json.dumps({80: plain, 443: secure})
    path.write_text(HOOK % (places, json.dumps(names.exact), json.dumps([f".{parent}" for parent in names.parents])))
    return path


def node_options(hook: Path) -> str:
    """Return the value of NODE_OPTIONS that loads the module; its path is in double quotes, as it may have spaces."""
    quoted = str(hook).replace("\\", "\\\\").replace('"', '\\"')
    return f'--require="{quoted}"'
