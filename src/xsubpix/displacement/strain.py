"""Strain and rotation of the ground, from the gradient of its displacement."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import ModelError
from ..kernels.gradients import local_gradients, reach
from ..kernels.matrices import inverse_2x2
from .field import Field
from .flagged import left_out, sure_field

if TYPE_CHECKING:
    from ..grid import Grid

__all__ = ["strain"]

_GRADIENT = {
    "east_x": "gradient of east toward +x",
    "east_y": "gradient of east toward +y",
    "north_x": "gradient of north toward +x",
    "north_y": "gradient of north toward +y",
}
_INVARIANT = {
    "dilatation": "dilatation, positive where the ground's area grows",
    "curl": "curl, positive counter-clockwise; twice the rotation in radians",
    "max_shear": "maximum shear strain (tensor; half the engineering shear)",
    "second_invariant": "second invariant of strain, the root of the sum of its squares",
}


def strain(
    disp: xr.Dataset,
    *,
    scale: float,
    error_length: float | None = None,
    keep_unsure: bool = False,
) -> xr.Dataset:
    r"""Gradient of the displacement, and its invariants.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north``, and ``sigma`` for the errors.
    scale : float
        Standard deviation of the Gaussian that weighs the neighbourhood, metres: half
        a pixel or more. Deformation narrower than about twice this has a lower
        peak; a fault of offset D looks like D / (2.5 scale).
    error_length : float, optional
        Side of the square in which the errors of the displacement are about the same,
        metres. None: that of the model (``model_error_length``), else one pixel.
    keep_unsure : bool
        Use values flagged as unsure too, see :func:`xsubpix.mask`;
        by default they are left out, and the attribute ``left_out`` says how many.

    Returns
    -------
    xarray.Dataset
        Without unit, lazy if `disp` is:

        ``east_x``, ``east_y``, ``north_x``, ``north_y``
            Gradient tensor, du/dx toward +x and +y of the CRS.
        ``dilatation``
            e_xx + e_yy.
        ``curl``
            d north/dx - d east/dy.
        ``max_shear``
            sqrt(((e_xx - e_yy) / 2)**2 + e_xy**2).
        ``second_invariant``
            sqrt(e_xx**2 + e_yy**2 + 2 e_xy**2), never negative.

        and the one-sigma error of each, ``*_sigma``, NaN where ``sigma`` is.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.
    ModelError
        `scale` or `error_length` is out of bounds.

    Notes
    -----
    Slopes of the local plane under Gaussian weights: where nothing is missing, the
    derivative of the Gaussian convolved with the field. Missing pixels stay missing;
    their neighbours are fitted with what there is. Errors are propagated to first
    order (exactly for what is linear); those of ``max_shear`` and
    ``second_invariant`` hold where these exceed their error, and below it both are
    biased upward, as lengths are. East and north are taken to err independently.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> y, x = np.mgrid[:40, :50].astype("f4")
    >>> disp = xr.Dataset({"east": (("y", "x"), 1e-3 * x), "north": (("y", "x"), 2e-3 * x)})
    >>> got = xsubpix.strain(disp, scale=2.0)
    >>> round(float(got.dilatation.mean()), 6), round(float(got.curl.mean()), 6)
    (0.001, 0.002)
    """
    field, share = sure_field(Field.of(disp), keep_unsure)
    pixel = field.plane.pixel
    scale = real_number("scale", scale, 0.0, above=True)
    rows, cols = field.grid.shape
    jacobian = field.grid.jacobian(np.array([(rows - 1) / 2]), np.array([(cols - 1) / 2]))
    across, down = scale / np.linalg.norm(jacobian[:, :, 0, 0], axis=0)
    if min(across, down) < 0.5 or max(across, down) > 256:
        raise ModelError(
            f"scale={scale:g} is {min(across, down):.3g} pixels of the field ({pixel:g} "
            f"{field.unit}): give from half a pixel to 256, e.g. scale={2 * pixel:g}."
        )
    error_length_pixels = field.error_length_pixels
    if error_length is not None:
        error_length_pixels = max(1.0, real_number("error_length", error_length, 0.0) / pixel)
    work = _Strain(field.grid, (float(across), float(down)), error_length_pixels)
    names = [*_GRADIENT, *_INVARIANT]
    halo = max(reach(across), reach(down))
    arrays = field.map(
        work, ["east", "north"], 2 * len(names), halo=halo, extra=[field.array("sigma")]
    )
    described: dict[str, tuple[Any, dict[str, Any]]] = {}
    where = {"units": "1", "comment": f"at a Gaussian scale of {scale:g} {field.unit}"}
    for name, array in zip(names, arrays[: len(names)], strict=True):
        described[name] = array, {"long_name": {**_GRADIENT, **_INVARIANT}[name], **where}
    for name, array in zip(names, arrays[len(names) :], strict=True):
        described[f"{name}_sigma"] = array, {"long_name": f"one-sigma error of {name}", **where}
    attrs = {
        "title": "Strain and rotation of the ground",
        "strain_scale": scale,
        "strain_error_length_pixels": error_length_pixels,
        **left_out(field.disp, share),
    }
    return field.new(described, attrs)


@dataclasses.dataclass(frozen=True)
class _Strain:
    """Blocks of east, north, sigma to the eight quantities and their errors."""

    grid: Grid
    scale: tuple[float, float]
    error_length_pixels: float

    def __call__(
        self, blocks: list[np.ndarray], rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        *components, sigma = blocks
        g = local_gradients(components, sigma, self.scale)
        # From slopes per pixel to slopes per metre: by the inverse, transposed.
        j = self.grid.jacobian(rows, cols)
        xc, yc, xr_, yr = inverse_2x2(j[0, 0], j[0, 1], j[1, 0], j[1, 1])
        (ex, nx), (ey, ny) = (
            [c * along + r * down for along, down in zip(g.x, g.y, strict=True)]
            for c, r in ((xc, xr_), (yc, yr))
        )
        # n values that err together count as one: the variance is n times larger.
        n = self.error_length_pixels**2
        vx = n * (xc**2 * g.xx + 2 * xc * xr_ * g.xy + xr_**2 * g.yy)
        vy = n * (yc**2 * g.xx + 2 * yc * yr * g.xy + yr**2 * g.yy)
        cxy = n * (xc * yc * g.xx + (xc * yr + xr_ * yc) * g.xy + xr_ * yr * g.yy)
        shear = (ey + nx) / 2
        largest = np.hypot((ex - ny) / 2, shear)
        second = np.sqrt(ex**2 + ny**2 + 2 * shear**2)
        sum_error = np.sqrt(vx + vy)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope_error = (
                ex**2 * vx + shear**2 * (vx + vy) + ny**2 * vy + 2 * (ex + ny) * shear * cxy
            )
            second_error = np.where(
                second > 0, np.sqrt(np.maximum(slope_error, 0.0)) / second, sum_error
            )
        x_error, y_error = np.sqrt(vx), np.sqrt(vy)
        return (
            ex, ey, nx, ny, ex + ny, nx - ey, largest, second,
            x_error, y_error, x_error, y_error, sum_error, sum_error, sum_error / 2, second_error,
        )  # fmt: skip
