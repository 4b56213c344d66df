"""Reading and writing single files: volumes, labelmaps, texts, and what can be wrong with them."""
