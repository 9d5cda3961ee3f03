"""`python -m gadgets` is `scanside`."""

from gadgets.cli import app

if __name__ == "__main__":
    app(prog_name="scanside")
