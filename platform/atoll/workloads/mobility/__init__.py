"""The workload ``mobility``: next-location prediction on the trajectories of cities that share no locations."""
