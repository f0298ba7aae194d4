import json
import urllib.request

request = urllib.request.Request("http://localhost:8000/", json.dumps({"text": "banana"}).encode())
print(urllib.request.urlopen(request).read())
