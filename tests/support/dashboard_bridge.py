"""The bridge's process, where Ray reports that its head serves a dashboard: ray without [default] never does."""

import asyncio
import json
import os
import sys

import ray
import ray.runtime_context

from bananastand.cluster.bridge_process import main

real = ray.init


def init(*arguments: object, **options: object) -> object:
    context = real(*arguments, **options)
    context.dashboard_url = "127.0.0.1:8265"
    return context


ray.init = init
asyncio.run(main(int(json.loads(sys.argv[1]))))
os._exit(0)
