"""Fit the model that the project calls, and log it in the registry: run once, before `dbt build`."""

from pathlib import Path

import pandas as pd
from sklearn.linear_model import LogisticRegression

from gristmill import Registry

FEATURES = ["tenure", "monthly_spend", "support_calls"]

if __name__ == "__main__":
    customers = pd.read_csv(Path(__file__).parent / "seeds" / "customers.csv")
    model = LogisticRegression(max_iter=1_000).fit(customers[FEATURES].astype(float), customers["left_us"])
    version = Registry().log_model(model, model_name="churn", sample_input_data=customers[FEATURES].astype(float))
    print(version.reference)  # noqa: T201 - what a script says
