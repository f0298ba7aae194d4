import os

os.makedirs("weights", exist_ok=True)
open("weights/vowels.txt", "w").write("aeiou")
