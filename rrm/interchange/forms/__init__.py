"""The forms that a row of judgements can have: one reader a form, each with its example row."""
