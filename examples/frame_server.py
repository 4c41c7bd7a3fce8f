"""The server of `dkist_virtual.demo.server`, by the name that the tests use."""

from dkist_virtual.demo.server import FrameServer, main, no_fault

__all__ = ["FrameServer", "main", "no_fault"]

if __name__ == "__main__":
    main()
