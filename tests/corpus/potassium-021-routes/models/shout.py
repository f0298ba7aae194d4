class Shout:
    def __call__(self, text):
        return text.upper() + "!"
