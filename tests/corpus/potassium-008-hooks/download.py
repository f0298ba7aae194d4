import json

json.dump({"sky": "blue", "grass": "green"}, open("answers.json", "w"))
