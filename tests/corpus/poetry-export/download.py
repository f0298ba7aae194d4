from pathlib import Path

Path("words.txt").write_text("melon lemon peach cheap")
