"""What a process imports that cannot begin."""

raise ImportError("libmissing.so is not here")
