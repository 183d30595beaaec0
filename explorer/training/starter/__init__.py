"""How the shipped starter is made: captioned photos in, a checkpoint out."""
