"""Model weights in builds: tokens, mirrors, the shared cache, and failed downloads."""
