"""What a person sees: Gradio components over the service; no torch, no SQL, no decoding."""
