import requests

print(requests.post("http://localhost:8000/api/predict", json={"data": ["banana"]}).json())
