"""The tabs of the page: their components, and which function listens to which event."""
