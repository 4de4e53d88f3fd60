"""Blinded reader study: who sees what in which order, a server that keeps every answer, and an audit of the blinding.

From the study file to a folder: `study`, `orders`, `plan`, `material`, `encode`, `begin`. Running it: `invites`, `log`,
`store`, `sessions`, `journal`, `ratings`, `app`, `serve`. What comes out: `export`, `audit` for what a browser could
tell, `analysis` for what the ratings say.
"""
