"""The words of rrm: frozen values, protocols, errors, seeds and content ids. No torch, no I/O, no clock."""
