"""The TPUs that a step can be compiled for, and the published figures of their chips."""

from dataclasses import dataclass

from rejoinder.errors import UserError

DATE = "2026-11"  # when the figures below were read


@dataclass(frozen=True, kw_only=True)
class Chip:
    """Published figures of one generation, of a device as libtpu divides a slice.

    A device is a core for v3 and v4, whose chips have two, and a chip for the others. The two
    cores of a v5p chip work as one device. All figures are the chip's divided by its devices.

    Attributes:
        topology: libtpu's name of the slice.
        devices: Devices, and so replicas, of the slice.
        chips: Chips of the slice.
        flops: Peak rate of bfloat16 matrix products, FLOP/s.
        bandwidth: HBM, bytes/s.
        memory: HBM, bytes.
        links: Interconnect in one direction, bytes/s.
        price: USD for one chip and hour, on demand.
        region: Region of that price.
    """

    topology: str
    devices: int
    chips: int
    flops: float
    bandwidth: float
    memory: float
    links: float
    price: float
    region: str

    @property
    def hourly(self) -> float:
        """USD an hour for the slice."""
        return self.chips * self.price


# Rates and sizes: https://cloud.google.com/tpu/docs/v3, …/v4, …/v5e, …/v5p and …/v6e. Links: the
# all-reduce bandwidth of a pod divided by its devices, for v5p the interconnect of a chip.
# Prices: https://cloud.google.com/tpu/pricing; they change, and differ between regions.
# The prices, v4's rates and the links of v3, v4 and v5p were not checked against these pages.
CHIPS = {
    "v3-8": Chip(
        topology="v3:2x2",
        devices=8,
        chips=4,
        flops=61.5e12,
        bandwidth=450e9,
        memory=16e9,
        links=166e9,
        price=2.00,
        region="us-central1",
    ),
    "v4-8": Chip(
        topology="v4:2x2x1",
        devices=8,
        chips=4,
        flops=137.5e12,
        bandwidth=614e9,
        memory=16e9,
        links=134e9,
        price=3.22,
        region="us-central2",
    ),
    "v5e-8": Chip(
        topology="v5e:2x4",
        devices=8,
        chips=8,
        flops=197e12,
        bandwidth=819e9,
        memory=16e9,
        links=200e9,
        price=1.20,
        region="us-central1",
    ),
    "v5p-8": Chip(
        topology="v5p:2x2x1",
        devices=4,
        chips=4,
        flops=459e12,
        bandwidth=2765e9,
        memory=95e9,
        links=600e9,
        price=4.20,
        region="us-east5",
    ),
    "v6e-8": Chip(
        topology="v6e:2x4",
        devices=8,
        chips=8,
        flops=918e12,
        bandwidth=1638e9,
        memory=32e9,
        links=400e9,
        price=2.70,
        region="us-east5",
    ),
}


def find_chip(name: str) -> Chip:
    """Returns the figures of a slice.

    Raises:
        UserError: There is no such slice in the table.
    """
    if name not in CHIPS:
        raise UserError(f"--tpu-topology: must be one of {', '.join(CHIPS)}, got {name!r}")
    return CHIPS[name]
