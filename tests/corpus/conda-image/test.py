import requests

print(requests.post("http://localhost:8000/", json={"matrix": [[1, 2], [3, 4]]}).json())
