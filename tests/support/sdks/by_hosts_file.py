"""Runs a program on a machine whose hosts file leads Banana's names here: `bananastand up --proxy 443`, no variables
but those that name the authority.

Arguments: a folder, and the program's command, whose code has KEY and MODEL in place of both.
"""

import os
import subprocess
import sys
from pathlib import Path

from stands import Up

folder, *command = sys.argv[1:]
up = Up(Path(folder), port=8750, proxy=443)
try:
    assert up.deploy("my-app", "template")["state"] == "live", up.log
    model = up.http.get("/stand/v1/projects/my-app").json()["model_key"]
    command = [word.replace("KEY", up.key).replace("MODEL", model) for word in command]
    authority = {"SSL_CERT_FILE": f"{folder}/proxy/bundle.pem", "NODE_EXTRA_CA_CERTS": f"{folder}/proxy/ca.pem"}
    subprocess.run(command, env={"PATH": os.environ["PATH"], **authority}, check=True)
finally:
    up.stop()
