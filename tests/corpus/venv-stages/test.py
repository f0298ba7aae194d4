import json
import urllib.request

request = urllib.request.Request("http://localhost:8000/", json.dumps({"caption": "red and yellow"}).encode(), {"Content-Type": "application/json"})
print(urllib.request.urlopen(request).read())
