import json

corpus = "the ape eats the banana and the banana feeds the ape"
words = corpus.split()
table = {}
for first, second in zip(words, words[1:]):
    table.setdefault(first, []).append(second)
json.dump(table, open("table.json", "w"))
