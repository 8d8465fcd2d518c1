"""How high-tech agglomeration is spread over regions and moves in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.simulation.config import SystemConfig
from spillover.simulation.fields import draw_field
from spillover.simulation.geography import Geography
from spillover.simulation.streams import Streams
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class HtiProcess:
    """ln A as an AR(1) around each region's long-run level, with its innovations already drawn.

    Attributes
    ----------
    long_run : (n,) long-run level of ln A.
    innovations : (n, t) what moves ln A besides its own past and last year's surprise; period 0 is stationary.
    instrument : (n, t) the exogenous cost shifter, part of the innovations.
    """

    config: SystemConfig
    long_run: FloatArray
    innovations: FloatArray
    instrument: FloatArray

    def level(self, period: int, previous: FloatArray | None, surprise: FloatArray | None) -> FloatArray:
        """(n,) HTI intensity A of one period.

        Rounded to whole jobs, so that A is exactly hti_employment / hti_employment_scale.

        Parameters
        ----------
        previous : (n,) A of the period before; None in the first.
        surprise : (n,) last year's standardised patent surprise; None in the first.
        """
        deviation = self.innovations[:, period]
        if previous is not None and surprise is not None:
            carried = self.config.persistence * (np.log(previous) - self.long_run)
            deviation = deviation + carried + self.config.endogeneity * surprise
        scale = self.config.hti_employment_scale
        return np.asarray(np.maximum(np.rint(scale * np.exp(self.long_run + deviation)), 1.0) / scale)


def build_hti_process(config: SystemConfig, geography: Geography, streams: Streams) -> HtiProcess:
    """Draw long-run levels and innovations."""
    rng = streams["hti"]
    if config.hti_law == "clusters":
        long_run = _clusters(config, rng)
    else:
        long_run = config.gp_mean + config.gp_sd * draw_field(geography, config.gp_range_km, rng)
    shape = (config.n_regions, config.n_periods)
    instrument = streams["instrument"].standard_normal(shape)
    shocks = draw_field(geography, config.innovation_range_km, rng, config.n_periods)
    innovations = config.innovation_sd * shocks + config.instrument * instrument
    # the first period is drawn from the stationary law, so that no burn-in is needed
    innovations[:, 0] /= np.sqrt(1.0 - config.persistence**2)
    return HtiProcess(config, long_run, innovations, instrument)


def _clusters(config: SystemConfig, rng: np.random.Generator) -> FloatArray:
    """ln A near 0 in the clusters, ln of a uniform elsewhere."""
    level = np.log(rng.uniform(*config.periphery, size=config.n_regions))
    chosen = rng.choice(config.n_regions, size=config.clusters, replace=False)
    level[chosen] = config.cluster_sd * rng.standard_normal(config.clusters)
    return np.asarray(level)
