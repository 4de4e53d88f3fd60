"""Networks: what maps a noisy image and its condition to a prediction."""
