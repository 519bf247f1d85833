"""What it costs to train experts in the last layers only, and what it saves."""
