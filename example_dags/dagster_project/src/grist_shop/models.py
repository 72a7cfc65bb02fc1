"""The shop's models."""

import pyarrow as pa
import pyarrow.compute as pc

from gristmill import CustomModel, inference_api


class Prices(CustomModel):
    """Prices with their tax."""

    @inference_api(inputs={"price": "double"}, outputs={"gross": "double"})
    def gross(self, rows: pa.RecordBatch, *, vat: float = 0.0) -> dict:
        """The price that is paid."""
        return {"gross": pc.multiply(rows["price"], 1 + vat)}
