"""Makes a node of a test different: its clock (SKEW_SECONDS), or its Bananastand (SKEW_VERSION)."""

import os
import time

if "SKEW_SECONDS" in os.environ:
    real = time.time
    time.time = lambda: real() + float(os.environ["SKEW_SECONDS"])

if "SKEW_VERSION" in os.environ:
    import bananastand

    bananastand.__version__ = os.environ["SKEW_VERSION"]
