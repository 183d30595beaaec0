"""What happens on an event: a visitor's view and what they did become what is shown."""
