#!/bin/bash
set -e
export GREETING_MARK="!"
mkdir -p cache
date > cache/started
exec python3 -u server.py "$@"
