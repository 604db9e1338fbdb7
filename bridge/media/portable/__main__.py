"""The way in of a worker process."""

from bridge.media.portable.worker import main

if __name__ == "__main__":
    main()
