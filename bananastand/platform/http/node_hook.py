"""A module for Node's --require which leads Banana's host names to the platform. Node itself heeds no HTTPS_PROXY.

Every connection of Node's own libraries (http, https, fetch) and of packages goes through one function of net.Socket.
TLS is checked against the name that the program asked for.
"""

from __future__ import annotations

import json
from pathlib import Path

from .run_hosts import API_HOSTS, RUN_DOMAIN

__all__ = ["node_options", "write_node_hook"]

HOOK = """// Leads Banana's host names to Bananastand: node --require THIS_FILE program.js
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
  const asked = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (asked && typeof asked === "object" && isBananas(asked.host)) {
    const place = places[Number(asked.port)];
    if (place) {
      const led = { ...asked, host: place[0], port: place[1] };
      if (Array.isArray(args[0])) args[0][0] = led;
      else args[0] = led;
    }
  } else if (isBananas(args[1]) && places[Number(asked)]) {
    [args[1], args[0]] = places[Number(asked)];
  }
  return connect.apply(this, args);
};
"""


def write_node_hook(folder: Path, plain: tuple[str, int], secure: tuple[str, int]) -> Path:
    """Write the module.

    Args:
        folder: Where to.
        plain: Where the platform answers without TLS, in place of port 80.
        secure: Where the proxy answers with TLS, in place of port 443.

    Returns:
        The file. Raises OSError.
    """
    path = folder / "node.cjs"
    places = json.dumps({80: plain, 443: secure})
    path.write_text(HOOK % (places, json.dumps(API_HOSTS), json.dumps(f".{RUN_DOMAIN}")))
    return path


def node_options(hook: Path) -> str:
    """The value of NODE_OPTIONS, which takes a path in double quotes where it has a space."""
    quoted = str(hook).replace("\\", "\\\\").replace('"', '\\"')
    return f'--require="{quoted}"'
