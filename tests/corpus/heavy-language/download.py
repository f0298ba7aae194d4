from transformers import AutoModelForCausalLM, AutoTokenizer

AutoTokenizer.from_pretrained("gpt2")
AutoModelForCausalLM.from_pretrained("gpt2")
