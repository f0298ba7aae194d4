open("model.txt", "w").write("ripe unripe rotten")
