"""What an engine costs beside the work that it carries: seconds and bytes for each work unit."""
