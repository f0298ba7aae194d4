# Start server.py first, then this.
import requests

res = requests.post("http://localhost:8000/", json={"prompt": "a good and sweet banana"})
print(res.json())
