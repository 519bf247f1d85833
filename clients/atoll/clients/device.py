"""Where a node computes."""

import torch

from atoll.errors import ConfigError


def usable_device(option: str) -> torch.device:
    """The device that an option means.

    Args:
        option: ``auto`` for a GPU where there is one and the CPU elsewhere, or torch's name of a device, such as
            ``cuda:1``.

    Raises:
        ConfigError: there is no such device here.
    """
    if option == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(option)
        torch.zeros(1, device=device).item()  # a name alone proves nothing; a value that comes back does
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"device is '{option}', which cannot be used here ({reason}); "
            "`device: auto` takes a GPU where there is one, `device: cpu` never does"
        ) from error
    return device
