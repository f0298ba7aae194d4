"""Runs a Potassium app on the server of its own version, on a given port: the witness. Run in that version's Python.

python potassium_server.py PORT APP.py
"""

import runpy
import sys


def move_to(port):
    """Have whatever the version listens with listen on 127.0.0.1 at this port."""
    import potassium.potassium as module

    if hasattr(module, "Sanic"):
        original = module.Sanic.run

        def run(self, *args, **known):
            return original(self, *args, **dict(known, host="127.0.0.1", port=port))

        module.Sanic.run = run
    else:
        make_server = module.make_server
        module.make_server = lambda host, _, app, **known: make_server("127.0.0.1", port, app, **known)


if __name__ == "__main__":
    port, path = int(sys.argv[1]), sys.argv[2]
    sys.argv = [path]
    sys.path[0] = path.rpartition("/")[0]
    move_to(port)
    runpy.run_path(path, run_name="__main__")
