# Banana's build: what changes rarely comes first, so that a change of code fetches neither packages nor weights again.
# `make image` builds it with docker (BuildKit), podman or buildah; .ci/image says what it takes from the environment.
#
# BASE is any image with Python 3.11 or newer, pip and useradd. Where it brings a torch, that one is used; else PyTorch's
# CPU build is installed, from the index that pip.conf (below) names. Without a GPU: BASE=docker.io/library/python:3.12-slim
# The digest is of pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime for amd64.
ARG BASE=docker.io/pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime@sha256:f0ca81b440e252399d9954a45b616ee2540959466aacf3dfc3f856691eee66e8

# Empty, unless `--build-context wheels=FOLDER` puts a folder of wheels in its place, for a network without an index.
FROM scratch AS wheels

FROM ${BASE}
# Not root. GPUs are open to all users as a rule; where the device files are root's, run it with `--user root`.
RUN useradd --create-home banana \
    && install --directory --owner=banana /app /opt/huggingface
WORKDIR /app

# A virtual environment over the base's packages: distributions refuse pip outside of one (PEP 668), and pip cannot
# uninstall what conda or Debian installed. --without-pip, as Debian's python3 lacks ensurepip; the base's pip serves.
# The secret pip.conf (an index, perhaps with a password) is there for this one command and in no layer.
# Only files whose hashes are in the locks are installed, with nothing beside them.
COPY locks/serve.txt locks/torch-cpu.txt /opt/locks/
RUN --mount=type=bind,from=wheels,target=/mnt/wheels --mount=type=secret,id=pip.conf \
    python3 -m venv --system-site-packages --without-pip /opt/venv \
    && export PIP_CONFIG_FILE=/run/secrets/pip.conf PIP_FIND_LINKS=/mnt/wheels PIP_NO_CACHE_DIR=1 \
    && /opt/venv/bin/python3 -m pip install --no-deps --require-hashes --requirement /opt/locks/serve.txt \
    && if ! python3 -c "import torch" 2> /dev/null; then \
        /opt/venv/bin/python3 -m pip install --no-deps --require-hashes --requirement /opt/locks/torch-cpu.txt; fi
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/opt/huggingface

# The weights. A gated model's token is the secret HF_TOKEN: an ARG or ENV would stay in the image for all to read.
USER banana
ARG MODEL=fruitstand
ENV MODEL=$MODEL
COPY --chown=banana models/ models/
COPY --chown=banana download.py ./
RUN --mount=type=secret,id=HF_TOKEN,mode=0444 python3 download.py "$MODEL"

# The code.
COPY --chown=banana bananastand/ bananastand/
COPY --chown=banana app.py banana_config.json ./
# In a container it is called by whatever name the network has for it.
ENV HOST=0.0.0.0 PORT=8000 BANANASTAND_ALLOW_HOSTS=*
EXPOSE 8000
# It listens once the model is loaded, which takes minutes for a large one. http.client heeds no proxy settings.
HEALTHCHECK --start-period=10m --interval=10s --timeout=10s CMD ["python3", "-c", \
    "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=5); \
    c.request('GET', '/_k/status'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python3", "app.py"]
