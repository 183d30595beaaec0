"""Explanations become Plotly figures as plain dicts: pure."""
