"""python -m explorer.training.starter: makes the shipped starter."""

from explorer.training.starter.train import main

if __name__ == "__main__":
    main()
