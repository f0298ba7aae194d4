from app import app, init

init()
print(app.test_client().post("/shout", json={"text": "hi"}).json)
