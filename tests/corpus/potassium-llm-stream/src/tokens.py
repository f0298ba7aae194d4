def split(text):
    return text.lower().split()
