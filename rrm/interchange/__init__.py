"""Preferences and ratings in and out: TRL's and NeMo-RL's rows, our own records, JSON lines and Parquet."""
