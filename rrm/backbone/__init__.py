"""Hugging Face backbones: load safely, tokenise, cut into units, encode."""
