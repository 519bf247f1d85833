"""A coordinator's backups: written while it runs, and restored so that no owner's withdrawal is lost."""
