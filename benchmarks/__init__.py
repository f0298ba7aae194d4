"""Side-by-side measurements. Each module measures one thing and writes results/NAME.json; `tables` shows them."""
