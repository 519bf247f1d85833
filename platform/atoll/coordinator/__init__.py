"""The coordinator: announces, integrates, evaluates, releases; it never sees an owner's text."""
