"""How far raters agree with each other and with known answers, with intervals; no torch."""
