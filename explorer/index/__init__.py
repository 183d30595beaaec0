"""The flow that fills the store: scan, plan, decode ahead, encode, embed."""
