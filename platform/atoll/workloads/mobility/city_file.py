"""A city as bytes that travel: its table of locations, as a safetensors file."""

import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from atoll.errors import DataError, PackageError
from atoll.workloads.mobility.city import City


def city_to_bytes(city: City) -> bytes:
    """The city; equal cities give equal bytes."""
    tensors = {"features": torch.from_numpy(city.features).clone()}
    if city.kilometres is not None:
        tensors["kilometres"] = torch.from_numpy(city.kilometres).clone()
    header = json.dumps({"name": city.name, "scale_km": city.scale_km}, sort_keys=True)
    return save(tensors, metadata={"atoll": header})


def city_from_bytes(data: bytes) -> City:
    """Read what :func:`city_to_bytes` wrote.

    Raises:
        PackageError: something else, or values that no city can have.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["atoll"])
        tensors = load(data)
        if set(tensors) - {"kilometres"} != {"features"}:
            raise PackageError(f"city: holds {', '.join(sorted(tensors))} instead of features")
        places = tensors["kilometres"].numpy() if "kilometres" in tensors else None
        return City(str(header["name"]), tensors["features"].numpy(), places, float(header["scale_km"]))
    except (SafetensorError, DataError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise PackageError(f"city: not a safetensors file with a table of locations ({error})") from error
