"""What runs at an institution: training an expert, describing its domain, evaluating a mixture on its own test text."""
