"""One file a question. `make bench`, or `make bench NAME=metering`."""
