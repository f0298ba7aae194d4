#!/bin/sh
# The binary knows one port and no environment.
echo "starting the counter"
exec ./serve 8000
