"""The Data Center of `dkist_virtual.demo.data_center`, by the name that the tests use."""

from dkist_virtual.demo.data_center import DataCenter, main

__all__ = ["DataCenter", "main"]

if __name__ == "__main__":
    main()
