class Counter:
    def __call__(self, text):
        return {letter: text.count(letter) for letter in sorted(set(text))}
