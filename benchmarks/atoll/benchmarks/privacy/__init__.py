"""What a release gives away of an owner's data, and what privacy costs."""
