open("threshold", "w").write("0.5")
