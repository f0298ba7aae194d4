"""FastAPI mock servers of the image APIs around Banana.dev. Never imports bananastand.clients."""
