"""What a release tells of those whose data it was trained on, measured at their owner; figures alone come out."""
