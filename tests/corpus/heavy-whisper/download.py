from transformers import WhisperForConditionalGeneration, WhisperProcessor

WhisperProcessor.from_pretrained("openai/whisper-tiny")
WhisperForConditionalGeneration.from_pretrained("openai/whisper-tiny")
