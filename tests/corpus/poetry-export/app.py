def init():
    global words
    with open("words.txt") as file:
        words = file.read().split()


def inference(model_inputs):
    letters = sorted(model_inputs.get("prompt", ""))
    return {"anagrams": [word for word in words if sorted(word) == letters]}
