"""How figures and pages look, whoever makes them."""
